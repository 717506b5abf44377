"""Makes unusual data of an input's ordinary data, row by row: one great element in each, equal ones, sorted ones."""

from __future__ import annotations

import math
from collections.abc import Mapping

import ml_dtypes
import numpy as np

from ptxbench.arrays import Array
from ptxbench.check.element_ranges import ElementRange
from ptxbench.check.fills import Draws, Fill
from ptxbench.check.peak_positions import peak_positions

CHUNKS = 64
"""Into how many rows an array of one axis is cut for `peaks`."""

PEAK = 1024.0
"""The lowest peak of the first form: its power is infinite in f32, and so is that of an eighth of it."""

LEVELS = 8
"""The number of heights in `peaks`: among several rows, as in a column, one peak is then usually above the others."""

LOWER = 8
"""How many times lower the second peak of a row is, which has the other sign."""


def peaks(height: float) -> Fill:
    """One element far above all others of its row, and one far below them, at another position in each row.

    A maximum, a norm, or the scale of a quantised row then depends on this one element: without it the result is
    infinite, or off by far more than the tolerance. `height`: of the lowest peaks, before the data's own magnitude.
    """

    def fill(array: Array, limits: ElementRange, draws: Draws) -> Array:
        rng, changed = draws[1], array.copy()
        flat = changed.reshape(-1)
        length = array.shape[-1] if array.ndim > 1 else -(-flat.size // CHUNKS)
        if flat.size < 2 or length == 1 < array.ndim:  # a row of one element has no others
            return array
        first = np.arange(0, flat.size, length)
        last = np.minimum(first + length, flat.size) - 1
        drawn = (rng.permutation(peak_positions(rng, first.size, length)) for _ in range(2))
        high, low = (np.minimum(first + positions, last) for positions in drawn)
        low = np.where(low == high, np.where(high < last, high + 1, first), low)
        levels = rng.integers(1, LEVELS, first.size, endpoint=True)
        levels[[0, -1]] = LEVELS + 2, LEVELS + 4  # the first and the last row are above the others
        levels[rng.integers(first.size)] = 2 * LEVELS
        falls = np.arange(first.size) % 4 == 3  # every fourth row: the negative peak is the greater one
        if limits.whole is not None:
            least, most = limits.whole
            steps = [(most - least) // (8 * LEVELS) * int(level) for level in levels]
            flat[:] = np.clip(flat % 4, least, most)
            flat[low] = np.array([least + step for step in steps], array.dtype)
            flat[high] = np.array([most - step for step in steps], array.dtype)
            return changed
        limit = float(ml_dtypes.finfo(array.dtype).max)  # type: ignore[no-untyped-call]
        scale = height * max(1.0, float(np.abs(flat.astype(np.float64)).max()))
        tall, short = (np.minimum(levels * scale / by, limit).astype(array.dtype) for by in (1, LOWER))
        flat[low] = -np.where(falls, tall, short)
        flat[high] = np.where(falls, short, tall)
        return changed

    return fill


def with_peaks(array: Array, limits: ElementRange, high: int, low: int) -> Array:
    """The array with one element far above all others, and one far below them."""
    if limits.whole is not None:
        least, most = limits.whole
        changed = np.clip(array, min(least + 1, most), max(most - 1, least))
        changed.reshape(-1)[[low, high]] = np.array([least, most], array.dtype)  # a float64 has 53 bits
    else:
        changed = array.copy()
        limit = float(ml_dtypes.finfo(array.dtype).max)  # type: ignore[no-untyped-call]
        scale = PEAK * max(1.0, float(np.abs(array.astype(np.float64)).max()))
        changed.reshape(-1)[[low, high]] = -min(scale / LOWER, limit), min(scale, limit)
    return changed


def far(sign: int, height: float) -> Fill:
    """All elements of one sign, with magnitudes from `height` to twice as much."""

    def fill(array: Array, limits: ElementRange, draws: Draws) -> Array:
        if limits.whole is not None:
            least, most = limits.whole
            near = [max(most - k, least) if sign > 0 else min(least + k, most) for k in range(4)]
            return np.array(near, array.dtype)[draws[1].integers(len(near), size=array.shape)]
        limit = float(ml_dtypes.finfo(array.dtype).max)  # type: ignore[no-untyped-call]
        drawn = np.minimum(draws[1].uniform(height, 2 * height, array.shape), limit)
        changed: Array = (sign * drawn).astype(array.dtype)
        return changed

    return fill


def beneath(limit: float, power: int) -> Fill:
    """The data, so small that the sum of a row's magnitudes, with a `power` of 2 of their squares, is below `limit`."""

    def fill(array: Array, limits: ElementRange, draws: Draws) -> Array:
        length = array.shape[-1] if array.ndim else 1
        if limits.whole is not None or array.size == 0:
            return array
        greatest = max(1.0, float(np.abs(array.astype(np.float64)).max()))
        scale = (limit / (4 * length)) ** (1 / power) / greatest
        with np.errstate(all="ignore"):
            changed: Array = (scale * array.astype(np.float64)).astype(array.dtype)
        return changed

    return fill


def scaled(factor: float) -> Fill:
    """The data times a power of two, the next one above `factor`; not beyond the greatest number."""

    def fill(array: Array, limits: ElementRange, draws: Draws) -> Array:
        if limits.whole is not None:
            return array
        limit = float(ml_dtypes.finfo(array.dtype).max)  # type: ignore[no-untyped-call]
        wide = array.astype(np.float64) * 2.0 ** math.ceil(math.log2(factor))
        changed: Array = np.clip(wide, -limit, limit).astype(array.dtype)
        return changed

    return fill


CLOSE = 60
"""How far below the greatest integer of 32 bits others may be that f32 cannot tell from it."""


def near(value: float) -> Fill:
    """The data, moved up by `value`; of integers, the greatest one once in each row, and others close below it."""

    def fill(array: Array, limits: ElementRange, draws: Draws) -> Array:
        if array.size == 0:
            return array
        if limits.whole is not None:
            least, most = limits.whole
            below = 1 + draws[1].integers(max(min(CLOSE, most - least), 1), size=array.size)
            changed: Array = np.maximum(most - below.astype(object), least).astype(array.dtype).reshape(array.shape)
            rows = changed.reshape(-1, array.shape[-1] if array.ndim else 1)
            rows[np.arange(rows.shape[0]), draws[1].integers(rows.shape[1], size=rows.shape[0])] = most
            return changed
        limit = float(ml_dtypes.finfo(array.dtype).max)  # type: ignore[no-untyped-call]
        moved: Array = np.minimum(array.astype(np.float64) + value, limit).astype(array.dtype)
        return moved

    return fill


def rows_of(value: float | None = None, *, end: int = 0, whole: bool) -> Fill:
    """`value`, or this `end` of the integers, in all of one row, in all of another but one element, in the first half
    of the next, and so on with each fourth row ordinary. `whole`: whether there are rows, or an array of one axis,
    without any other element; then each eighth column is such a row too, for results of columns."""

    def fill(array: Array, limits: ElementRange, draws: Draws) -> Array:
        if array.size == 0:
            return array
        changed = array.copy()
        rows = changed.reshape(-1, array.shape[-1] if array.ndim else 1)
        number = np.arange(rows.shape[0])
        position = draws[1].integers(rows.shape[1], size=number.size)
        one = number, position - (position % 8 == 7)
        ordinary = rows[one]
        chosen = limits.whole[end] if limits.whole else value
        rows[number % 4 < 2] = chosen
        rows[number % 4 == 2, : -(-rows.shape[1] // 2)] = chosen
        if whole:
            rows[:, 7::8] = chosen
        keeps = (number % 4 == 1) | ((number % 4 == 0) & (not whole))
        rows[one] = np.where(keeps, ordinary, rows[one])
        return changed

    return fill


def in_order(step: int, array: Array, limits: ElementRange, draws: Draws) -> Array:
    """The data, of which each row is sorted: ascending, or descending with a `step` of -1."""
    if array.ndim == 0:
        return array
    keys = array.astype(np.float64) if limits.whole is None else array
    ordered: Array = np.take_along_axis(array, np.argsort(keys, axis=-1, kind="stable")[..., ::step], axis=-1)
    return ordered


def multiples(array: Array, limits: ElementRange, draws: Draws) -> Array:
    """As many numbers as there are elements, in any order, with as many zeros in their lower bits as possible."""
    low, high = limits.whole or (0, 0)
    count = min(array.size, high + 1) or 1
    shift = (high + 1).bit_length() - 1 - (count - 1).bit_length()
    numbers = (draws[1].permutation(array.size).reshape(array.shape) % count).astype(array.dtype) << max(shift, 0)
    changed: Array = np.clip(numbers, max(low, 0), high).astype(array.dtype)
    return changed


BLOCK = 16
"""The shortest run of elements with a scale of its own, as in nvfp4: each has the greatest number once."""

ODD = (7, 15, 61, 63)
"""Factors whose reciprocals in f32 are rounded by so much that few products with a tie are the tie again. They have so
few bits that products with the numbers of 4 and 8 bits are exact in f32, and most in f16 or, of the first, in bf16."""

TIES: Mapping[int, Array] = {
    448: np.array([odd * 2.0**power for power in range(-8, 5) for odd in range(17, 32, 2) if odd * 2.0**power < 448]),
    6: np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5]),
    **{top: np.arange(top) + 0.5 for top in (127, 7, 255, 15)},
}
"""By the greatest number of a format of 8 or 4 bits, the numbers in the middle between two others: of e4m3 (and, times
a power of two, of e5m2), of e2m1, and of integers."""


def ties(*tops: int) -> Fill:
    """Rows that are ties once they are divided by the scale that the greatest number gives: a product with the
    reciprocal of the scale, or another rounding, shows in half of them. Each fourth row has a factor of its own, with
    which they are almost ties. `tops`: one for each row in turn."""

    def fill(array: Array, limits: ElementRange, draws: Draws) -> Array:
        if array.size == 0:
            return array
        rng, length = draws[1], array.shape[-1] if array.ndim else 1
        rows = np.empty((array.size // length, length))
        first = np.arange(0, length, BLOCK)
        for number, row in enumerate(rows):
            top = tops[number % len(tops)]
            row[:] = rng.choice(TIES[top], length) * rng.choice([-1, 1], length)
            row[np.minimum(first + rng.integers(BLOCK, size=first.size), length - 1)] = top
        factors = np.where(np.arange(len(rows)) % 4 == 3, rng.uniform(0.5, 1, len(rows)), 1)
        changed: Array = (rows * factors[:, None] * rng.choice(ODD) / 8).reshape(array.shape).astype(array.dtype)
        return changed

    return fill
