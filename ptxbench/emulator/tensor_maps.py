"""Tensor maps on the emulator: the 128 bytes of a map in the layout of the hardware, and a map as an argument.

The layout is that which `tensormap.replace` writes. The bits that only the driver knows are zero: the mode (64-67) and
the flag for small tensors (85).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.errors import LaunchError
from ptxbench.tensor_map import MAP_ALIGN, MAP_BYTES, TensorMap, TiledMap, problem

ELEMENTS = ("u8", "u16", "u32", "s32", "u64", "s64", "f16", "f32", "f32.ftz", "f64", "bf16")
"""Element types by their number in a map."""
ROUNDED = {"tf32": "f32", "tf32.ftz": "f32.ftz"}
"""Element types that differ from another type by the bit ROUNDS, and that type."""
UNKNOWN = ("f32.ftz", "tf32", "tf32.ftz")
"""Element types that change the values; no document says how."""
SWIZZLES, ATOMS, PROMOTIONS, INTERLEAVES = (0, 32, 64, 128), {16: 0, 32: 1, 64: 3}, (0, 64, 128, 256), (0, 16, 32)

# Bits of a map: first bit and width.
ADDRESS, RANK, ELEMENT, INTERLEAVE, SWIZZLE, FILL = (0, 64), (68, 3), (71, 4), (75, 2), (77, 2), (79, 1)
ROUNDS, PROMOTION, ATOM, SMALL, WIDE_SWIZZLE = (80, 1), (81, 2), (83, 2), (85, 1), (86, 1)


def stride_bits(dimension: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The lower and the upper bits of the stride of a dimension from 1 on, in units of 16 bytes."""
    return (64 + 32 * dimension, 32), (220 + 4 * dimension, 4)


def extent_bits(dimension: int) -> tuple[int, int]:
    return 256 + 32 * dimension, 32


def step_bits(dimension: int) -> tuple[int, int]:
    return 416 + 3 * dimension, 3


def box_bits(dimension: int) -> tuple[int, int]:
    return 440 + 8 * dimension, 8


def replacement(field: str, value: int) -> list[tuple[tuple[int, int], int]]:
    """The bits of a field by its number in the manual's table of tensormap.replace."""
    if field == "elemtype":  # 11 and 12 are f32 and f32.ftz with a mark; the narrow types follow the others
        rounds = value in (11, 12)
        return [(ELEMENT, value - 4 if rounds else value - 2 if value > 12 else value), (ROUNDS, int(rounds))]
    if field == "swizzle_mode":  # 4, of 96 bytes, is a bit of its own
        return [(SWIZZLE, value % 4), (WIDE_SWIZZLE, value // 4)]
    return [({"interleave_layout": INTERLEAVE, "swizzle_atomicity": ATOM, "fill_mode": FILL}[field], value)]


def encode(tiled: TiledMap, address: int) -> bytes:
    """The bytes of a map of the array at `address`."""
    plain = ROUNDED.get(tiled.element, tiled.element)
    fields = [
        (ADDRESS, address),
        (RANK, tiled.rank - 1),
        (ELEMENT, ELEMENTS.index(plain)),
        (INTERLEAVE, INTERLEAVES.index(tiled.interleave)),
        (SWIZZLE, SWIZZLES.index(tiled.swizzle)),
        (FILL, int(tiled.fill == "nan")),
        (ROUNDS, int(tiled.element in ROUNDED)),
        (PROMOTION, PROMOTIONS.index(tiled.l2_promotion)),
        (ATOM, ATOMS[tiled.atom]),
    ]
    for dimension, (extent, box, step) in enumerate(zip(tiled.shape, tiled.box, tiled.element_strides, strict=True)):
        fields += [
            (extent_bits(dimension), extent - 1),
            (box_bits(dimension), box - 1),
            (step_bits(dimension), step - 1),
        ]
    for dimension, stride in enumerate(tiled.strides, 1):
        low, high = stride_bits(dimension)
        fields += [(low, stride >> 4 & 0xFFFFFFFF), (high, stride >> 36)]
    packed = sum(value << first for (first, _), value in fields)
    return packed.to_bytes(MAP_BYTES, "little")


def unsupported(tiled: TiledMap) -> str | None:
    """What the emulator does not know about such a map, in one sentence; None if it can use it."""
    if tiled.interleave:
        return f"interleave is {tiled.interleave}, which the emulator does not support."
    if tiled.element in UNKNOWN:
        return f"element is {tiled.element}; how a GPU changes the values is not documented. Use f32."
    row = tiled.box[0] * np.dtype(SIZES[tiled.element]).itemsize
    if tiled.swizzle and row != tiled.swizzle:
        return (
            f"a row of the box has {row} bytes and swizzle is {tiled.swizzle}; where a GPU puts the rows of a box that "
            "is narrower than the swizzle is not documented."
        )
    return None


SIZES = {
    "u8": "u1", "u16": "u2", "u32": "u4", "s32": "u4", "u64": "u8", "s64": "u8", "f16": "u2", "bf16": "u2", "f32": "u4",
    "f64": "u8",
}  # fmt: skip
"""NumPy types with the bytes of each element."""


@dataclass(frozen=True, eq=False)
class MapOf:
    """An argument of a launch: a tensor map of `array`, from byte `offset` of it on.

    `of` in `map` is only a name for messages here.
    """

    array: NDArray[Any]
    map: TensorMap | TiledMap
    offset: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.array, np.ndarray) or not isinstance(self.map, TensorMap | TiledMap):
            raise TypeError(f"MapOf takes a NumPy array and a TensorMap, not {self.array!r} and {self.map!r}.")

    @property
    def tiled(self) -> TiledMap:
        """The map with all its numbers; functions in it are called without a size."""
        return self.map if isinstance(self.map, TiledMap) else self.map.at({}, self.array.shape, self.array.dtype)

    def check(self, name: str, param_bytes: int, param_align: int) -> None:
        """Raise LaunchError unless the driver encodes this map, the emulator knows it, and the parameter holds it."""
        if param_bytes != MAP_BYTES or param_align < MAP_ALIGN:
            raise LaunchError(
                f"'{name}' has {param_bytes} bytes aligned to {param_align}; a tensor map takes a parameter of "
                f"{MAP_BYTES} bytes aligned to {MAP_ALIGN}: .param .align {MAP_ALIGN} .b8 {name}[{MAP_BYTES}]."
            )
        tiled = self.tiled
        wrong = problem(tiled, self.array.nbytes - self.offset) or unsupported(tiled)
        if wrong is None and self.offset % 16:
            wrong = f"it starts at byte {self.offset} of its array; expected a multiple of 16."
        if wrong:
            raise LaunchError(f"The tensor map '{name}': {wrong}")

    def encoded(self, address: int) -> bytes:
        """The bytes of the parameter, for the array at `address`."""
        return encode(self.tiled, address + self.offset)


def bind(names: Sequence[str], args: Sequence[Any]) -> list[Any]:
    """The arguments with each TensorMap and TiledMap as a MapOf of the argument that it names.

    Raises LaunchError if it names no array.
    """
    arrays = {name: value for name, value in named(names, args) if isinstance(value, np.ndarray)}
    bound = []
    for name, arg in zip(names, args, strict=False):
        if isinstance(arg, TensorMap | TiledMap):
            if arg.of not in arrays:
                array_names = ", ".join(f"'{array}'" for array in arrays) or "there are none"
                raise LaunchError(
                    f"The tensor map '{name}' is of '{arg.of}', which is not an array here: {array_names}."
                )
            arg = MapOf(arrays[arg.of], arg)
        bound.append(arg)
    return [*bound, *args[len(bound) :]]


def named(names: Sequence[str], args: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """The arguments with their names, and the members of structures with those of their fields."""
    for name, arg in zip(names, args, strict=False):
        if isinstance(arg, np.void) and arg.dtype.names:
            yield from ((field, arg[field]) for field in arg.dtype.names)
        else:
            yield name, arg
