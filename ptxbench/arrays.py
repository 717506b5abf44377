"""Arrays of numbers: the types that kernels take, and reading of large arrays in pieces.

Data only. This module imports NumPy, with ml_dtypes for small floats, and nothing of ptxbench.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

f16, bf16 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
f32, f64 = np.dtype(np.float32), np.dtype(np.float64)
e4m3, e5m2 = np.dtype(ml_dtypes.float8_e4m3fn), np.dtype(ml_dtypes.float8_e5m2)
ue8m0 = np.dtype(ml_dtypes.float8_e8m0fnu)
"""Powers of two without a sign, from 2**-127 to 2**127, and NaN: the scales of blocks of small floats."""
s8, s16, s32, s64 = np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.int64)
u8, u16, u32, u64 = np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32), np.dtype(np.uint64)

CHUNK = 1 << 20
"""Elements of a piece: 8 MiB as float64, however large the array is."""

WARP = 32

GOLDEN = 0x9E3779B1
"""2**32 over the golden ratio: its multiples modulo 2**32 are evenly spread, and repeat after 2**32."""


def is_float(dtype: np.dtype[Any]) -> bool:
    """True for floats of all sizes. NumPy gives some that it lacks itself the kind 'V'."""
    return dtype.kind == "f" or dtype in (bf16, e4m3, ue8m0)


def greatest_number(dtype: np.dtype[Any]) -> float:
    """The greatest finite number of a floating-point type."""
    limits: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]  # NumPy's own knows no bf16
    return float(limits.max)


def frozen(array: Array) -> Array:
    """A copy that nothing can change; of an array of Python objects, the array itself.

    The emulator copies it once for several launches in a row (emulator/memory.py).
    """
    return array if array.dtype.hasobject else np.ndarray(array.shape, array.dtype, array.tobytes())


def read_only(array: Array) -> Array:
    """A view of the array that cannot be written."""
    view = array.view()
    view.flags.writeable = False
    return view


def wide(array: Array) -> Array:
    """A copy for safe arithmetic: floats as float64, integers as int64, u64 unchanged."""
    # u64 has values that int64 lacks
    kind = np.float64 if is_float(array.dtype) else np.uint64 if array.dtype == np.uint64 else np.int64
    return array.astype(kind)


def pieces(array: Array, size: int = CHUNK) -> Iterator[tuple[int, Array]]:
    """The elements of an array of any shape, in order, in pieces: the flat index of the first element, and the piece.

    A piece has the shape (size,), the last one may be shorter, and the type that `wide` gives.
    """
    flat = array.reshape(-1)
    for start in range(0, flat.size, size):
        yield start, wide(flat[start : start + size])


def one_of_each(size: int, group: int = WARP) -> Array:
    """Indices into `size` elements for a Sample: one of every `group` neighbours, the first element, and the last.

    `size`: at least 1. The indices are int64 and ascending. With the default group a sample covers each access of a
    warp. The position inside the group changes from group to group, so that every lane and every position of a tile
    is sampled.
    """
    first = np.arange(0, size, group, dtype=np.int64)
    offsets = (np.arange(first.size, dtype=np.uint64) * np.uint64(GOLDEN) & np.uint64(0xFFFFFFFF)) * np.uint64(group)
    indices: Array = np.minimum(first + (offsets >> np.uint64(32)).astype(np.int64), size - 1)
    return indices if indices[-1] == size - 1 else np.append(indices, size - 1)


def some_of_product(a: Array, b: Array) -> tuple[Array, Array]:
    """Some elements of the matrix a @ b, for a Sample: their flat indices, and their values.

    `a`: shape (m, k); `b`: shape (k, n), both in any type, which `wide` widens. Both results have one shape, (count,).
    There is one of every 32 neighbours of a row and of a column, so each warp computes at least one of them, and each
    square of 8 contains two. They cost a thirty-second of the product.
    """
    n = b.shape[1]
    indices, values = [], []
    for i in range(WARP):
        # i with its bits in reverse order: 0 to 0, 31 to 31, so that the corners are among them
        rows, columns = slice(i, None, WARP), slice(int(f"{i:05b}"[::-1], 2), None, WARP)
        values.append((wide(a[rows]) @ wide(b[:, columns])).reshape(-1))
        indices.append((np.arange(len(a))[rows, np.newaxis] * n + np.arange(n)[columns]).reshape(-1))
    return np.concatenate(indices), np.concatenate(values)


def spacing(values: Array) -> Array:
    """The distance from each magnitude to the next greater one of its type, as float64; NaN for infinities and NaN.

    The greatest number of a type has no next one; for it, the spacing of its binade is returned.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        magnitudes = np.abs(values)
        steps: Array = np.spacing(magnitudes).astype(np.float64)
        half = (magnitudes.astype(np.float64) / 2).astype(values.dtype)
        return np.where(np.isfinite(steps), steps, 2 * np.spacing(half).astype(np.float64))


def pack_e2m1(values: Array) -> Array:
    """Numbers as e2m1, two in a byte, the first in the low half: u8, the last axis half as long.

    Each is rounded to the nearest of 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, a tie to the even one; greater
    ones become 6. Raises ValueError for a NaN, and for an odd last axis.
    """
    if np.isnan(values.astype(np.float64)).any():
        raise ValueError("e2m1 has no NaN.")
    if not values.ndim or values.shape[-1] % 2:
        raise ValueError(f"the shape {values.shape} has an odd last axis. Two e2m1 share a byte.")
    bits = values.astype(np.float64).astype(ml_dtypes.float4_e2m1fn).view(np.uint8)
    packed: Array = bits[..., ::2] | bits[..., 1::2] << 4
    return packed


def unpack_e2m1(packed: Array) -> Array:
    """The numbers in bytes of two e2m1 each, as float64: the last axis is twice as long."""
    bits = np.stack((packed & 15, packed >> 4), axis=-1).reshape(*packed.shape[:-1], -1)
    values: Array = bits.astype(np.uint8).view(ml_dtypes.float4_e2m1fn).astype(np.float64)
    return values


def poison(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array of 0xFF bytes: NaN for floats, the greatest value or -1 for integers."""
    return np.full(math.prod(shape) * dtype.itemsize, 0xFF, np.uint8).view(dtype).reshape(shape)
