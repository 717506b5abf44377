"""A tensor map as an argument: a region of an array for `cp.async.bulk.tensor`, and the checks on it.

Data only; imports nothing of ptxbench. The rules are those of cuTensorMapEncodeTiled in the CUDA driver API. Dimensions
are in the order of PTX and the driver: in dimension 0, elements are contiguous in memory.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Extents = tuple[int, ...]

MAP_BYTES, MAP_ALIGN = 128, 64
"""Bytes and least alignment of the kernel's parameter, which is passed by value."""
HEADER_ALIGN = 128
"""The alignment of CUtensorMap in the headers of CUDA 13; in those of CUDA 12 it is MAP_ALIGN."""

MAP_WORDS = "tensor map"
"""Its type in the signature of a pair."""

ELEMENT_BYTES = {
    "u8": 1, "u16": 2, "u32": 4, "s32": 4, "u64": 8, "s64": 8, "f16": 2, "bf16": 2, "f32": 4, "f64": 8,
    "f32.ftz": 4, "tf32": 4, "tf32.ftz": 4,
}  # fmt: skip
"""Element types, and the bytes of one element."""

ELEMENT_OF = {
    "float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64",
    "float8_e4m3fn": "u8", "float8_e5m2": "u8", "float8_e8m0fnu": "u8",
    "uint8": "u8", "int8": "u8", "uint16": "u16", "int16": "u16",
    "uint32": "u32", "int32": "s32", "uint64": "u64", "int64": "s64",
}  # fmt: skip
"""The element type for each NumPy type name."""

INTERLEAVES, SWIZZLES, ATOMS, PROMOTIONS = (0, 16, 32), (0, 32, 64, 128), (16, 32, 64), (0, 64, 128, 256)
FILLS = ("zeros", "nan")


@dataclass(frozen=True)
class TensorMap:
    """A tensor map of the array `of`, an argument of 128 bytes by value: `.param .align 64 .b8 NAME[128]` in PTX.

    In CUDA C it is a `const __grid_constant__` struct of 128 bytes, aligned to 64. `box`: elements per copy in each
    dimension; a tuple, or a function of the size. `shape` and `strides`: functions of the size that give the elements
    of each dimension, and the byte strides of each but dimension 0; by default those of the whole array. `element`: u8,
    f16, f32, tf32, f32.ftz, ...; by default from the array's type. `element_strides`: steps in each dimension, by
    default 1. `interleave`: 0, 16 or 32 bytes. `swizzle`: 0, 32, 64 or 128 bytes, in atoms of 16; for 128 also of 32 or
    64. `l2_promotion`: 0, 64, 128 or 256 bytes. `fill`: out-of-bounds elements load as "zeros" or "nan".
    """

    name: str
    of: str
    box: Extents | Callable[..., Extents]
    shape: Callable[..., Extents] | None = None
    strides: Callable[..., Extents] | None = None
    element: str | None = None
    element_strides: Extents = ()
    interleave: int = 0
    swizzle: int = 0
    atom: int = 16
    l2_promotion: int = 0
    fill: str = "zeros"

    def at(self, size: Mapping[str, int], array_shape: Extents, dtype: np.dtype[Any]) -> TiledMap:
        """The map at one size, for an array of that shape and type."""
        shape = tuple(self.shape(**size)) if self.shape else tuple(reversed(array_shape))
        box = tuple(self.box(**size)) if callable(self.box) else tuple(self.box)
        strides = tuple(self.strides(**size)) if self.strides else packed(shape, dtype.itemsize)
        return TiledMap(
            of=self.of,
            element=self.element or ELEMENT_OF.get(dtype.name, dtype.name),
            shape=shape,
            strides=strides,
            box=box,
            element_strides=tuple(self.element_strides) or (1,) * len(shape),
            interleave=self.interleave,
            swizzle=self.swizzle,
            atom=self.atom,
            l2_promotion=self.l2_promotion,
            fill=self.fill,
        )

    def with_functions(self, change: Callable[[Callable[..., Extents]], Callable[..., Extents]]) -> TensorMap:
        """The map with each of its functions changed."""
        functions = {name: getattr(self, name) for name in ("box", "shape", "strides")}
        changed: dict[str, Any] = {name: change(function) for name, function in functions.items() if callable(function)}
        return dataclasses.replace(self, **changed)


@dataclass(frozen=True)
class TiledMap:
    """A tensor map with all its numbers except the address, which is that of the array `of`. See TensorMap."""

    of: str
    element: str
    shape: Extents
    strides: Extents
    box: Extents
    element_strides: Extents
    interleave: int = 0
    swizzle: int = 0
    atom: int = 16
    l2_promotion: int = 0
    fill: str = "zeros"

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def span_bytes(self) -> int:
        """Bytes from the first element to the end of the last."""
        steps = zip(self.shape[1:], self.strides, strict=True)
        return self.shape[0] * ELEMENT_BYTES[self.element] + sum((extent - 1) * stride for extent, stride in steps)


def packed(shape: Extents, element_bytes: int) -> Extents:
    """The strides of dimensions 1 and up for a contiguous array."""
    return tuple(element_bytes * math.prod(shape[:dimension]) for dimension in range(1, len(shape)))


def problem(tiled: TiledMap, array_bytes: int) -> str | None:
    """What is wrong with a map of an array of `array_bytes`, in one sentence; None if the driver accepts it."""
    return next(problems(tiled, array_bytes), None)


def problems(tiled: TiledMap, array_bytes: int) -> Iterator[str]:
    """All problems of a map, in sentences; only the first if it makes the others meaningless."""
    choices = {
        "element": tuple(ELEMENT_BYTES), "interleave": INTERLEAVES, "swizzle": SWIZZLES, "atom": ATOMS,
        "l2_promotion": PROMOTIONS, "fill": FILLS,
    }  # fmt: skip
    for name, allowed in choices.items():
        if (value := getattr(tiled, name)) not in allowed:
            yield f"{name} is {value!r}; it may be {', '.join(map(str, allowed))}."
            return
    least = 3 if tiled.interleave else 1
    if not least <= tiled.rank <= 5:
        yield f"it has {tiled.rank} dimensions; expected {least} to 5."
        return
    for name, wanted in (("box", tiled.rank), ("element_strides", tiled.rank), ("strides", tiled.rank - 1)):
        if len(getattr(tiled, name)) != wanted:
            yield f"{name} is {getattr(tiled, name)}; expected {wanted} numbers for {tiled.rank} dimensions."
            return
    yield from out_of_range(tiled)
    yield from unfit(tiled)
    if tiled.span_bytes > array_bytes:
        yield f"it covers {tiled.span_bytes:,} bytes; '{tiled.of}' has {array_bytes:,}."


def out_of_range(tiled: TiledMap) -> Iterator[str]:
    """Numbers that are invalid in any map."""
    unit = 32 if tiled.interleave == 32 else 16
    for name, most in (("shape", 2**32), ("box", 256), ("element_strides", 8)):
        values = getattr(tiled, name)
        if not all(1 <= value <= most for value in values):
            yield f"{name} is {values}; each must be 1 to {most}."
    if not all(0 < stride < 2**40 and stride % unit == 0 for stride in tiled.strides):
        yield f"strides is {tiled.strides}; each must be a multiple of {unit} bytes, and below 2^40."


def unfit(tiled: TiledMap) -> Iterator[str]:
    """Fields that are invalid together."""
    row = tiled.box[0] * ELEMENT_BYTES[tiled.element]
    if not tiled.interleave and row % 16:
        yield f"a row of the box has {row} bytes; expected a multiple of 16."
    if not tiled.interleave and tiled.swizzle and row > tiled.swizzle:
        yield f"a row of the box has {row} bytes; a swizzle of {tiled.swizzle} bytes takes at most {tiled.swizzle}."
    if tiled.interleave == 32 and tiled.swizzle != 32:
        yield f"interleave is 32 and swizzle {tiled.swizzle}; an interleave of 32 needs a swizzle of 32."
    if tiled.atom != 16 and tiled.swizzle != 128:
        yield f"atom is {tiled.atom} and swizzle {tiled.swizzle}; only a swizzle of 128 has other atoms than 16."
    if tiled.fill == "nan" and tiled.element[0] in "us":
        yield f"fill is nan, and element {tiled.element} is a whole number."
