"""Launches on zeros at sizes that are too large for data: which pages of the arrays one CTA touches, and which elements
of the outputs are never written."""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ptxbench.backends.buffers import POISON
from ptxbench.check.launching import THREADS, CheckKernel
from ptxbench.emulator.chain import run_steps
from ptxbench.emulator.image import TouchedMemory
from ptxbench.emulator.launch import run
from ptxbench.emulator.memory import zero_array
from ptxbench.errors import Deadlock, FuelExhausted, KernelError, LaunchError
from ptxbench.pair import ArrayArgument, In, Out, Pair, Scalar, Scratch, Size, declared, draw

MOST_TICKETS = 64
"""Elements of an array from which CTAs draw numbers."""

FLAG, MOST_FLAG_BYTES = 2, 1 << 22
"""What the 32-bit words of larger arrays hold that only the kernel needs, up to so many bytes. CTAs tell each other
there how far they are: in a look-back, 0 is not at all, and 2 is all that others wait for."""

MOST_INDEX_BYTES = 1 << 22
"""Bytes of an input of indices that take some milliseconds to draw."""

MOST_COPIED_BYTES = 1 << 26
"""The most bytes of an input of which a part is drawn, which take some hundredths of a second to copy."""

Cta = Literal["last alone", "first alone"]


@dataclass(frozen=True)
class Footprint:
    """The pages of each array that a CTA touched. `stored`: the ranges of bytes that it stored to, if that is known;
    `lengths`: pages of each array; `ended`: the name of the error that ended it, if any."""

    pages: Mapping[str, frozenset[int]]
    stored: Mapping[str, NDArray[np.int64]] | None
    lengths: Mapping[str, int]
    ended: str = ""

    @property
    def is_part(self) -> bool:
        """Whether the CTA was stopped because it took too long, or waits for another."""
        return self.ended in (FuelExhausted.__name__, Deadlock.__name__)

    @property
    def fails(self) -> bool:
        """Whether the CTA ended with an error other than that it takes too long, or waits for another."""
        return self.ended != "" and not self.is_part

    def difference(self, other: Footprint) -> str | None:
        """What differs from the footprint of a kernel of the pair, in words; None if nothing does. What is only a part
        of a footprint must be in the other one."""
        if not self.is_part and self.ended not in ("", other.ended):
            return f"ends with {self.ended}, unlike that of the pair's kernels"
        for name, pages in self.pages.items():
            more = pages - other.pages[name] if self.is_part or not other.is_part else ()
            fewer = other.pages[name] - pages if not self.is_part else ()
            if more or fewer:
                return f"uses other elements of '{name}' than that of the pair's kernels"
        if not (self.is_part or other.is_part or self.stored is None or other.stored is None):
            for name, stored in self.stored.items():
                if not np.array_equal(stored, other.stored[name]):
                    return f"stores to other elements of '{name}' than that of the pair's kernels"
        return None

    def reach(self) -> dict[str, float]:
        """How far into each array it goes, as a part of it."""
        return {name: (max(pages, default=-1) + 1) / self.lengths[name] for name, pages in self.pages.items()}

    def begin(self) -> dict[str, float]:
        """Where it begins in each array, as a part of it."""
        return {name: min(pages, default=0) / self.lengths[name] for name, pages in self.pages.items()}

    def stored_bytes(self) -> dict[str, int]:
        """How many bytes of each array it stored to; nothing if that is not known."""
        return {name: int((ranges[:, 1] - ranges[:, 0]).sum()) for name, ranges in (self.stored or {}).items()}


Footprints = tuple[Footprint, ...]
"""Of one CTA, for each way in which it may draw its number."""


def footprints(pair: Pair, kernel: CheckKernel, size: Size, fuel: int, cta: Cta = "last alone") -> Footprints:
    """What one CTA of a launch on zeros touches.

    Raises MemoryError if the arrays take more memory than this process may have."""
    launch = kernel.launch_at(size, pair.launch(**size))
    draws = any(isinstance(arg, Scratch) for arg in pair.args)
    of_launches = []
    for tickets in (0, math.prod(launch.grid_xyz) - 1) if draws else (0,):
        values = zeros_for(pair, size, tickets)
        arguments = launch.emulated(values)
        (*_, last), _ = arguments.pop("steps"), arguments.pop("dependent")
        touched = TouchedMemory()
        ended = ""
        try:
            run(
                kernel.ptx,
                kernel.entry,
                **arguments,
                args=last,
                arch=kernel.arch,
                most_threads=THREADS,
                fuel=fuel,
                ctas=cta,
                touched=touched,
            )
        except LaunchError as error:
            raise MemoryError(str(error)) from None
        except KernelError as error:
            ended = type(error).__name__
        if touched.pages:
            of_launches.append(of_arrays(pair, values, touched, ended))
    return tuple(of_launches)


def of_arrays(pair: Pair, values: Mapping[str, Any], touched: TouchedMemory, ended: str) -> Footprint:
    """The footprint in the arrays that every kernel of a pair uses alike."""
    names = [arg.name for arg in pair.args if isinstance(arg, ArrayArgument) and not isinstance(arg, Scratch)]
    pages = {name: touched.pages[name] for name in names}
    stored = None if touched.stored is None else {name: touched.stored[name] for name in names}
    return Footprint(pages, stored, {name: -(-values[name].nbytes // mmap.PAGESIZE) for name in names}, ended)


def zeros_for(pair: Pair, size: Size, tickets: int) -> dict[str, Any]:
    """The arguments at a size: its scalars and indices, and arrays of zeros. `tickets`: the number that a CTA draws, if
    it draws one."""
    values: dict[str, Any] = {}
    for arg in pair.args:
        if isinstance(arg, Scalar):
            values[arg.name] = arg.dtype.type(declared(arg, size))
        elif isinstance(arg, Scratch) and (drawn := from_others(arg, size, tickets)) is not None:
            values[arg.name] = drawn
        elif isinstance(arg, In) and (indices := indices_for(arg, size)) is not None:
            values[arg.name] = indices
        elif isinstance(arg, ArrayArgument):
            values[arg.name] = zero_array(arg.shape(**size), arg.dtype)
        else:
            values[arg.name] = pair.tiled_map(arg, size)
    return values


def with_indices(pair: Pair, size: Size, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with the indices of a launch on zeros."""
    own = {arg.name: indices_for(arg, size) for arg in pair.args if isinstance(arg, In)}
    return {**arguments, **{name: indices for name, indices in own.items() if indices is not None}}


def indices_for(arg: In, size: Size) -> Any:
    """The data of an input that may be indices, which say where a CTA reads or writes, the greatest last, where the
    last CTA finds them; None for other inputs. Of more than MOST_INDEX_BYTES only the last rows are drawn, and the rest
    is 0; None for more than MOST_COPIED_BYTES, and if `values` draws no part of its array."""
    if arg.values is None or arg.legal is not None or arg.dtype.kind not in "iu" or arg.dtype.itemsize < 4:
        return None
    first, *others = shape = arg.shape(**size)
    of_row = math.prod(others) * arg.dtype.itemsize
    rows = min(first, MOST_INDEX_BYTES // of_row) if of_row else 0
    if rows == first:
        drawn = draw(arg, np.random.default_rng(0), size, integers=False)
        return np.sort(drawn, axis=None).reshape(drawn.shape)
    if first * of_row > MOST_COPIED_BYTES:
        return None
    indices = np.zeros(shape, arg.dtype)
    try:
        part = np.asarray(arg.values(np.random.default_rng(0), (rows, *others), **size), arg.dtype)
        indices[first - rows :] = np.sort(part, axis=None).reshape(rows, *others)
    except Exception:  # the pair's own function, with a shape that it does not promise to draw
        return None
    return indices


def from_others(arg: Scratch, size: Size, tickets: int) -> Any:
    """An array that only the kernel needs, as it is when a CTA draws this number; None for zeros."""
    shape = arg.shape(**size)
    size_bytes = math.prod(shape) * arg.dtype.itemsize
    if math.prod(shape) <= MOST_TICKETS:
        return np.full(shape, tickets, arg.dtype)
    if tickets and size_bytes % 4 == 0 and size_bytes <= MOST_FLAG_BYTES:
        return np.full(size_bytes // 4, FLAG, np.uint32).view(arg.dtype).reshape(shape)
    return None


def array_bytes(pair: Pair, size: Size) -> int:
    """Bytes of all arrays at a size."""
    arrays = [arg for arg in pair.args if isinstance(arg, ArrayArgument)]
    return sum(math.prod(arg.shape(**size)) * arg.dtype.itemsize for arg in arrays)


def unwritten(pair: Pair, kernel: CheckKernel, size: Size) -> str | None:
    """An element of an output that a launch on zeros leaves as it was, in words; None if there is none.

    Raises KernelError as a launch does."""
    arguments = zeros_for(pair, size, 0)
    names = [arg.name for arg in pair.args if isinstance(arg, Out)]
    for name in names:
        arguments[name] = np.full(arguments[name].nbytes, POISON, np.uint8).view(arguments[name].dtype)
    run_steps(
        kernel.ptx,
        kernel.entry,
        **kernel.launch_at(size, pair.launch(**size)).emulated(arguments),
        arch=kernel.arch,
        most_threads=THREADS,
    )
    for name in names:
        old = arguments[name].view(np.uint8).reshape(-1, arguments[name].itemsize)
        left = (old == POISON).all(axis=1)
        if left.any():
            return f"{int(left.sum()):,} of {left.size:,} elements of '{name}', from {int(left.argmax()):,} on"
    return None
