"""The placement of a launch's arrays: one arena shared with the emulator's process, at addresses that never vary."""

from __future__ import annotations

import contextlib
import errno
import functools
import mmap
import os
import random
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.runtime.context import GLOBAL_BASE
from ptxbench.emulator.variables import ALIGNMENT, GAP
from ptxbench.emulator.variation import EXTREMES
from ptxbench.errors import LaunchError, MachineError

with contextlib.suppress(ImportError):  # not available on Windows
    import resource

Array = NDArray[Any]
Bytes = NDArray[np.uint8]

SPARSE_BYTES = 1 << 20
"""From this size in bytes on, zeros are pages that take no memory until they are written."""

KEPT_BYTES = 1 << 12
"""The least size of frozen contents that stay in the arena between launches: less is copied as quickly as found."""

LEAST_BYTES = 1 << 24
"""The least size of the arena: each time that it grows, both processes map all of it again. Unused pages take no
memory."""

CARRY = -GLOBAL_BASE % (1 << 32)
"""The offset in the arena from which on the upper half of addresses is greater."""

FURTHEST = 512
"""The most by which a placement moves a buffer, in units of ALIGNMENT."""


@dataclass(frozen=True)
class Buffer:
    """One buffer: its name in messages, its offset in the arena, and its length in bytes."""

    name: str
    offset: int
    size: int

    @property
    def low(self) -> int:
        return GLOBAL_BASE + self.offset

    @property
    def high(self) -> int:
        return self.low + self.size


@dataclass(frozen=True)
class Layout:
    """Buffers in ascending order, the emulated address of each array, and the arena's bytes."""

    buffers: tuple[Buffer, ...]
    addresses: tuple[int, ...]
    size: int


def lay_out(
    arrays: Sequence[tuple[str, Array]],
    first: Sequence[Buffer] = (),
    start: int = 0,
    placement: int | None = None,
) -> Layout:
    """Place each array, from offset `start` on, after the buffers `first`.

    Arrays that overlap in memory share one buffer and keep their distance; a ZeroArray has its own. `placement`: a seed
    for the order of the buffers, the reverse one if it is 0 modulo EXTREMES, and for the distances between them;
    without it they are the same every time. Half of one buffer is behind CARRY then, if those before it leave room.
    """
    spans = [(array.__array_interface__["data"][0], array.nbytes, name, i) for i, (name, array) in enumerate(arrays)]
    groups: list[list[tuple[int, int, str, int]]] = []
    end = -1
    for span in sorted(span for span in spans if not isinstance(arrays[span[-1]][1], ZeroArray)):
        if groups and span[0] < end and span[1]:
            groups[-1].append(span)
        else:
            groups.append([span])
        end = max(end, span[0] + span[1]) if len(groups[-1]) > 1 else span[0] + span[1]
    groups += [[span] for span in spans if isinstance(arrays[span[-1]][1], ZeroArray)]
    groups.sort(key=lambda group: min(i for *_, i in group))  # argument order: addresses do not depend on the host
    buffers: list[Buffer] = list(first)
    addresses = [0] * len(arrays)
    offset = start
    rng = None if placement is None else random.Random(placement)
    if placement is not None and rng:
        if placement % EXTREMES == 0:
            groups.reverse()  # no two buffers keep their order
        else:
            rng.shuffle(groups)
    crossing = rng.randrange(len(groups)) if rng and groups else None
    for position, group in enumerate(groups):
        offset += ALIGNMENT * rng.randint(1, FURTHEST) if rng else 0
        start = group[0][0]
        size = max(address + nbytes for address, nbytes, *_ in group) - start
        if position == crossing:
            offset = max(offset, CARRY - size // 2 // ALIGNMENT * ALIGNMENT)
        buffers.append(Buffer("' and '".join(name for *_, name, _ in group), offset, size))
        for address, _, _, i in group:
            addresses[i] = GLOBAL_BASE + offset + address - start
        offset = -(-(offset + size + GAP) // ALIGNMENT) * ALIGNMENT
    return Layout(tuple(buffers), tuple(addresses), max(offset, mmap.PAGESIZE))


def zeros(size: int) -> Bytes:
    """`size` zeros that take no memory; read-only."""
    return np.broadcast_to(np.zeros(1, np.uint8), size)


def is_zeros(content: Bytes) -> bool:
    """Whether `content` was made by `zeros`."""
    return content.strides == (0,)


def is_frozen(content: Bytes) -> bool:
    """Whether nothing can change `content`: its memory is a `bytes` object, as in `arrays.frozen`."""
    owner: Any = content
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner, bytes)


def is_same(frozen: Bytes, content: Bytes) -> bool:
    """Whether `content` is the memory of `frozen`, which is alive: then it is the same bytes."""
    return frozen.size == content.size and frozen.ctypes.data == content.ctypes.data


class ZeroArray(np.ndarray[Any, np.dtype[Any]]):
    """An array of zeros, made by `zero_array`, that takes no memory: a launch does not read it, and what the launch
    stores to it is lost."""


def zero_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> ZeroArray:
    """Zeros of any size, which are one element in memory."""
    return np.broadcast_to(np.zeros((), dtype), shape).view(ZeroArray)


FILE_LIMIT = (
    "The shell limits the size of files (ulimit -f), and memory that processes share counts as a file. Raise the limit."
)


class Arena:
    """Memory shared with the emulator's process; it grows as launches need it."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self.handle = os.memfd_create("ptxbench")
        else:  # macOS: a file that was unlinked
            file, path = tempfile.mkstemp()
            os.unlink(path)  # noqa: PTH108
            self.handle = file
        self.map: mmap.mmap | None = None
        self.size = 0
        self.frozen_at: dict[int, Bytes] = {}
        """Frozen contents that the arena still has, by offset."""

    def reserve(self, size: int) -> None:
        """Grow to at least `size` bytes. Raises LaunchError if there is not enough memory, MachineError if the
        shell forbids it."""
        if size <= self.size:
            return
        size = max(size, LEAST_BYTES)
        if size > available_memory():
            raise LaunchError(too_large(size))
        self.unmap()
        try:
            os.ftruncate(self.handle, size)
            self.map = in_small_pages(mmap.mmap(self.handle, size))
        except (OSError, ValueError, OverflowError) as error:
            self.size = 0
            self.frozen_at.clear()
            if isinstance(error, OSError) and error.errno == errno.EFBIG:
                raise MachineError(FILE_LIMIT) from None
            raise LaunchError(too_large(size)) from None
        self.size = size

    def unmap(self) -> None:
        """Close the mapping; if a view still exists (in an error's traceback), it closes with the last view."""
        if self.map is not None:
            with contextlib.suppress(BufferError):
                self.map.close()
            self.map = None

    def bytes(self, offset: int, size: int) -> Bytes:
        """A view of part of the arena, shape (size,)."""
        assert self.map is not None
        return np.frombuffer(self.map, np.uint8, size, offset)

    def put(self, offset: int, content: Bytes) -> Bytes:
        """Copy `content` to `offset`, unless the arena still has it there, and return a view of it there."""
        view = self.bytes(offset, content.size)
        if (frozen_content := self.frozen_at.get(offset)) is not None and is_same(frozen_content, content):
            return view
        self.forget(offset, offset + content.size)
        if is_zeros(content) and self.next_data(offset) >= offset + content.size:
            return view
        if is_zeros(content) and content.size >= SPARSE_BYTES and hasattr(mmap, "MADV_REMOVE"):
            assert self.map is not None
            start = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
            end = (offset + content.size) // mmap.PAGESIZE * mmap.PAGESIZE
            self.map.madvise(mmap.MADV_REMOVE, start, end - start)  # frees the pages: they read as 0 from now on
            view[: start - offset] = 0
            view[end - offset :] = 0
        else:
            view[:] = content
        if content.size >= KEPT_BYTES and is_frozen(content):
            self.frozen_at[offset] = content
        return view

    def clear(self) -> None:
        """Free all pages: they read as 0 from now on, and have no data until they are read or written."""
        self.frozen_at.clear()
        if self.map is not None and shows_pages():
            self.map.madvise(mmap.MADV_REMOVE)

    def pages_with_data(self, offset: int, size: int) -> frozenset[int]:
        """The pages of a part of the arena that have data, numbered from its first page on; all of them if the system
        does not tell."""
        first, end = offset // mmap.PAGESIZE, -(-(offset + size) // mmap.PAGESIZE)
        if not shows_pages():
            return frozenset(range(end - first))
        pages: list[int] = []
        at = first
        while (begin := self.next_data(at * mmap.PAGESIZE) // mmap.PAGESIZE) < end:
            at = min(os.lseek(self.handle, begin * mmap.PAGESIZE, os.SEEK_HOLE) // mmap.PAGESIZE, end)
            pages += range(begin - first, at - first)
        return frozenset(pages)

    def next_data(self, offset: int) -> int:
        """The first byte from `offset` on that has data, as far as the system tells; the arena's size if none has."""
        if not shows_pages():
            return offset
        try:
            return os.lseek(self.handle, offset, os.SEEK_DATA)
        except OSError:
            return self.size

    def forget(self, start: int, end: int) -> None:
        """The bytes from `start` to `end` have changed, or will."""
        changed = [at for at, content in self.frozen_at.items() if at < end and start < at + content.size]
        for offset in changed:
            del self.frozen_at[offset]

    def keep_only(self, offsets: Iterable[int]) -> None:
        """Release the frozen contents at other offsets."""
        self.frozen_at = {offset: self.frozen_at[offset] for offset in offsets if offset in self.frozen_at}

    def close(self) -> None:
        self.unmap()
        os.close(self.handle)


def in_small_pages(mapped: mmap.mmap) -> mmap.mmap:
    """The same memory, so that what a launch touches is known to the page, where the system has huge ones too."""
    with contextlib.suppress(AttributeError, OSError):  # a system without them
        mapped.madvise(mmap.MADV_NOHUGEPAGE)
    return mapped


@functools.cache
def shows_pages() -> bool:
    """Whether the system tells which pages of the arena have data, and frees pages: Linux does."""
    if not (hasattr(os, "memfd_create") and hasattr(os, "SEEK_DATA") and hasattr(mmap, "MADV_REMOVE")):
        return False
    handle = os.memfd_create("ptxbench")
    try:
        os.pwrite(handle, b"data", mmap.PAGESIZE)
        return os.lseek(handle, 0, os.SEEK_DATA) == mmap.PAGESIZE
    except OSError:
        return False
    finally:
        os.close(handle)


def too_large(size: int) -> str:
    """The message for a launch that takes more memory than there is."""
    return (
        f"The arrays and variables take {size / 1e9:.1f} GB; {available_memory() / 1e9:.1f} GB are free. Use a smaller "
        f"size."
    )


def available_memory() -> int:
    """Bytes of memory that are free for this process, as far as the system reports."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError, KeyError):
        free = min(free, available_in_container(Path("/sys/fs/cgroup")))
    with contextlib.suppress(OSError, ValueError, AttributeError):
        free = min(free, available_in_address_space())
    return free


def available_in_address_space() -> int:
    """Bytes that this process may still map. Raises OSError or AttributeError if the system does not report it."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return max(limit - pages * mmap.PAGESIZE, 0)


def available_in_container(group: Path) -> int:
    """Bytes that a control group leaves free; cached files count as free.

    Raises OSError or ValueError if there is no limit.
    """
    limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
    lines = (group / "memory.stat").read_text().splitlines()
    stat = {name: int(number) for name, number in map(str.split, lines)}
    return max(limit - used + stat["file"] - stat["shmem"], 0)


def describe_address(buffers: Sequence[Buffer], address: int) -> str:
    """Where a global address is inside a buffer: "byte 128 of 'x'"."""
    buffer = next(buffer for buffer in buffers if buffer.low <= address < buffer.high)
    return f"byte {address - buffer.low} of '{buffer.name}'"


def of_heap(blocks: Sequence[tuple[int, int]]) -> list[Buffer]:
    """The heap's blocks (address and bytes) as buffers with names for messages."""
    return [
        Buffer(f"malloc's block {number}", address - GLOBAL_BASE, size)
        for number, (address, size) in enumerate(blocks, 1)
    ]


def inside(buffers: Sequence[Buffer], address: int, size: int) -> bool:
    """Whether `size` bytes at a global address are inside one buffer."""
    return any(buffer.low <= address and address + size <= buffer.high for buffer in buffers)


def nearest(buffers: Sequence[Buffer], address: int, size: int) -> str:
    """Where `size` bytes at a global address are: "byte 1028 of 'x', which has 1028"."""
    if not buffers:
        return f"address {address:#x}, but there are no buffers"

    def distance(buffer: Buffer) -> int:
        return max(buffer.low - address, address + size - buffer.high, 0)

    close = min(buffers, key=distance)
    if distance(close) > 1 << 32:
        return f"address {address:#x}, which is in no buffer"
    byte = address - close.low
    if 0 <= byte < close.size < byte + size:
        byte = close.size  # the first that the buffer does not have
    return f"byte {byte} of '{close.name}', which has {close.size}"


JUST_BEFORE = 1 << 20
"""How far a negative index may reach, in bytes."""

LARGEST_STRIDE = 256
"""The most bytes of an element that such an index may have."""


def as_if_unsigned(buffers: Sequence[Buffer], address: int, size: int) -> str | None:
    """Where an access of `size` bytes is if a negative index of 32 bits was extended as unsigned: its distance from the
    right place is 2^32 elements. "byte 4 * 2^32 - 4 of 'x', which has 64". The index 2^31 - 1 gives that of half as
    many bytes, and is not meant."""
    for buffer in buffers:
        stride, rest = divmod(address - buffer.low + JUST_BEFORE, 1 << 32)
        below = JUST_BEFORE - rest
        if size <= stride <= LARGEST_STRIDE and below > 0 and below != 2 * stride:
            return f"byte {stride} * 2^32 - {below} of '{buffer.name}', which has {buffer.size}"
    return None
