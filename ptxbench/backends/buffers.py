"""The layout of a launch's arrays in device memory, and checks that the launch wrote only its outputs.

Needs no device. Every array has its own two guard zones:

  guard zone | the array | guard zone

A zone is filled with a pattern that reads as NaN in every floating-point format, so that a read past the end makes the
result NaN. The pattern differs from array to array, so that a kernel that copies past the end of one array into the
zone of another is detected too. 0xFF bytes would not do, because outputs start with these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.arrays import Array
from ptxbench.backends.base import Arguments, Names
from ptxbench.errors import LaunchError, WrongResult
from ptxbench.tensor_map import MAP_ALIGN, MAP_BYTES, TiledMap

Bytes = NDArray[np.uint8]

GUARD_BYTES = 4096
"""A multiple of every alignment that a kernel may require (TMA: 1024), so that the array is aligned as its allocation.
"""

PATTERNS = 15
"""Half words 0xFFF0 to 0xFFFE: exponent all ones and mantissa not zero in f16, bf16, f32 and f64."""

MOST_FETCHED = 32 << 20
"""Inputs up to this many bytes are fetched after a launch and compared.

The device sums larger ones, so that the host does not need a second copy.
"""

SECTOR_BYTES = 32


def guard_zone(index: int) -> Bytes:
    """The bytes of both zones of array number `index`."""
    return np.full(GUARD_BYTES // 2, 0xFFF0 + index % PATTERNS, "<u2").view(np.uint8)


def as_bytes(array: Array) -> Bytes:
    """The bytes of a C-contiguous array, not copied."""
    return array.reshape(-1).view(np.uint8)


@dataclass(frozen=True)
class ReadBack:
    """An array after a launch, with the zones before and after it."""

    before: Bytes
    data: Array
    after: Bytes


def damage(array: ReadBack, index: int) -> int | None:
    """The offset, from the array's first byte, of the overwritten guard byte that is nearest to it; None if none is.

    Bytes after the array come first.
    """
    zone = guard_zone(index)
    damaged_after = np.flatnonzero(array.after != zone)
    if damaged_after.size:
        return array.data.nbytes + int(damaged_after[0])
    damaged_before = np.flatnonzero(array.before != zone)
    return int(damaged_before[-1]) - GUARD_BYTES if damaged_before.size else None


def first_change(original: Array, now: Array) -> int | None:
    """The flat index of the first element whose bits differ; None if all are equal."""
    if now is original:
        return None
    item = max(1, original.dtype.itemsize)
    different = np.flatnonzero(as_bytes(original) != as_bytes(now))
    return int(different[0]) // item if different.size else None


def check_untouched(kernel: str, arguments: Arguments, outputs: Names, after_launch: Mapping[str, ReadBack]) -> None:
    """Raise WrongResult if the launch wrote anything but `outputs`: a guard zone, or an input.

    `kernel`: its name in the message; `after_launch`: every array of `arguments` after the launch, in the same order.
    """
    for index, (name, array_after) in enumerate(after_launch.items()):
        offset = damage(array_after, index)
        if offset is not None:
            raise WrongResult(
                f"{kernel} writes outside its outputs: byte {offset} of '{name}', which has {array_after.data.nbytes}. "
                "Check its guard."
            )
        if name not in outputs:
            element = first_change(arguments[name], array_after.data)
            if element is not None:
                was, now = (array.reshape(-1)[element] for array in (arguments[name], array_after.data))
                raise WrongResult(
                    f"{kernel} writes outside its outputs: element {element} of the input '{name}' was {was} "
                    f"and is {now}. Check its stores to '{name}'."
                )


def pack(
    arguments: Arguments,
    addresses: Mapping[str, int],
    encode: Callable[[TiledMap, int], np.void] = lambda tiled, address: np.void(bytes(MAP_BYTES)),
) -> dict[str, np.generic[Any]]:
    """The launch's arguments by name: array addresses, NumPy scalars, and 128 bytes for each tensor map.

    `encode` makes these bytes from the map and its array's address. Raises LaunchError for anything else, because a
    bare number would be passed as 8 bytes, whatever the kernel reads.
    """
    packed: dict[str, np.generic[Any]] = {}
    for name, value in arguments.items():
        if name in addresses:
            packed[name] = np.uint64(addresses[name])
        elif isinstance(value, TiledMap):
            packed[name] = encode(value, addresses[value.of])
        elif isinstance(value, np.generic):
            packed[name] = value
        else:
            raise LaunchError(
                f"Argument '{name}' is a {type(value).__name__}, whose size the kernel does not know. "
                "Give it a NumPy dtype."
            )
    return packed


POISON = 0xFF
"""The value of each byte of an output before a launch: such bytes are a NaN in f32."""


def fill_byte(array: Array) -> int | None:
    """The byte, if all bytes of the array are equal, so that a fill can restore it; else None."""
    content = as_bytes(array)
    first = int(content[0]) if content.size else POISON
    return first if bool((content == first).all()) else None


def sweep_sectors(l2_bytes: int, times: float = 2) -> int:
    """How many 32-byte sectors to read so that none of a launch's data stays in an L2 cache of that size.

    Twice the cache, because replacement is not strictly least-recently-used, and the cache is hashed over two halves on
    large GPUs.
    """
    return math.ceil(times * l2_bytes / SECTOR_BYTES)


def nanoseconds(milliseconds: float) -> int:
    """The time between two events, a float in milliseconds, as whole nanoseconds."""
    return round(milliseconds * 1e6)


def rotation(footprint: int, l2_bytes: int, free_bytes: int) -> tuple[int, bool]:
    """The number of buffer sets over which a graph's launches rotate, and whether each then finds its data out of L2.

    Three times the cache lies between two uses of a set, unless that takes more than a quarter of the free memory.
    """
    wanted = max(2, math.ceil(3 * l2_bytes / max(footprint, 1)) + 1)
    copies = max(1, min(wanted, free_bytes // 4 // max(footprint, 1), MOST_COPIES))
    return copies, copies == wanted


MOST_COPIES = 64
"""The most buffer sets, because making one takes time too."""


def names_of_arrays(arguments: Arguments) -> list[str]:
    return [name for name, value in arguments.items() if isinstance(value, np.ndarray)]


def empty_kernel(packed: Sequence[np.generic[Any]]) -> str:
    """PTX of a kernel `empty` that takes these arguments and returns at once."""
    params = ", ".join(
        f".param .align {MAP_ALIGN} .b8 p{index}[{value.nbytes}]"
        if isinstance(value, np.void)
        else f".param .b{8 * value.nbytes} p{index}"
        for index, value in enumerate(packed)
    )
    return f".version 6.3\n.target sm_75\n.address_size 64\n.visible .entry empty({params})\n{{ ret; }}\n"
