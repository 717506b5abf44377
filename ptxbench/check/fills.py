"""Makes unusual data of an input's ordinary data, element by element. `row_fills` does so row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from ptxbench.arrays import Array
from ptxbench.check.element_ranges import ElementRange

ONE_IN = 16
"""One element in this many gets a special value, and at least one."""

SMALL = (0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1.5, 3.0)
"""Small whole and half numbers."""

UNIT = (0.0, 1.0, -1.0, 0.5, -0.5)
"""The values of the above within the usual range of random data."""

Draws = tuple[np.random.Generator, np.random.Generator]
"""Random numbers shared by all inputs of one size, so that special values meet, and an input's own."""

Fill = Callable[[Array, "ElementRange", Draws], Array]
"""Makes data of a kind from an input's ordinary data."""

SIGNED_ZEROS = "signed zeros"


def float_edges(dtype: np.dtype[Any]) -> dict[str, list[float]]:
    """Special values by kind."""
    limits: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    least, greatest = float(limits.smallest_subnormal), float(limits.max)
    return {
        "NaN": [float("nan")],
        "infinities": [float("inf"), float("-inf")],
        "positive infinities": [float("inf")],
        "negative infinities": [float("-inf")],
        "subnormals": [least, -least, float(limits.smallest_normal) / 2],
        SIGNED_ZEROS: [0.0, -0.0],
        "huge values": [greatest, -greatest],
    }


def integer_edges(low: int, high: int) -> list[int]:
    """The ends of a range, and values that carry and wrap: powers of two, and one less."""
    powers = [1 << k for k in range(high.bit_length())]
    near = [sign * (power - less) for power in powers for less in (0, 1) for sign in (1, -1)]
    return sorted({low, high, *(value for value in near if low <= value <= high)})


def edge(kind: str, *, few: bool = False) -> Fill:
    """Special values at some positions, or at a `few` only."""

    def fill(array: Array, limits: ElementRange, draws: Draws) -> Array:
        values = float_edges(limits.dtype)[kind]
        return scattered(array, values, draws[1:] if few else draws, 1 if few else -(-array.size // (2 * ONE_IN)))

    return fill


def whole_edges(array: Array, limits: ElementRange, draws: Draws) -> Array:
    """Half of the elements are ends of the range, zero, a power of two or one less; a quarter an end or zero."""
    assert limits.whole is not None
    low, high = limits.whole
    ends = [end for end in (low, high, 0) if low <= end <= high]
    changed = array.copy()
    flat = changed.reshape(-1)
    rng = draws[1]
    for values in (integer_edges(low, high), ends):
        chosen = rng.random(flat.size) < 0.25
        flat[chosen] = np.array(values, array.dtype)[rng.integers(len(values), size=int(chosen.sum()))]
    return changed


def small(array: Array, limits: ElementRange, draws: Draws) -> Array:
    """Only small whole and half numbers; for integers those from -3 to 3."""
    if limits.whole is None:
        values = np.array(SMALL).astype(array.dtype)
    else:
        low, high = limits.whole
        values = np.arange(max(low, -3), min(high, 3) + 1).astype(array.dtype)
    return values[draws[1].integers(values.size, size=array.shape)] if values.size else array


def zeros_at_the_end(array: Array, limits: ElementRange, draws: Draws) -> Array:
    """A third of the elements are zeros of either sign. In every second row none is above zero, in the others none
    below: the greatest, or the least, are equal, although their bits differ. The first and the last of these zeros are
    -0 as the greatest and 0 as the least ones: by the bits, another one is greater, or less. Of two only the first."""
    if not array.size:
        return array
    rng = draws[1]
    rows = np.abs(array.reshape(-1, array.shape[-1] if array.ndim else 1).astype(np.float64))
    number = np.arange(rows.shape[0])
    signs = np.where((number + rng.integers(2)) % 2, 1.0, -1.0)
    is_zero, zeros = rng.random(rows.shape) < 1 / 3, rng.choice([0.0, -0.0], rows.shape)
    zeros[number, rows.shape[1] - 1 - is_zero[:, ::-1].argmax(axis=1)] = (
        0.0 * signs * np.sign(is_zero.sum(axis=1) - 2.5)
    )
    zeros[number, is_zero.argmax(axis=1)] = 0.0 * signs
    changed: Array = np.where(is_zero, zeros, signs[:, None] * rows).reshape(array.shape).astype(array.dtype)
    return changed


def zeros_in_columns(array: Array, limits: ElementRange, draws: Draws) -> Array:
    """The same in rows along another axis than the last one, such as columns."""
    if array.ndim < 2:
        return array
    axis = int(draws[1].integers(array.ndim - 1))
    swapped = np.ascontiguousarray(np.swapaxes(array, axis, -1))
    return np.ascontiguousarray(np.swapaxes(zeros_at_the_end(swapped, limits, draws), axis, -1))


TOPS = (7, 127, 15, 255)
"""The greatest whole numbers of 4 and 8 bits: divided by a row's greatest magnitude over one of them, and rounded, the
half numbers of a row with that number are ties."""


def small_with_tops(array: Array, limits: ElementRange, draws: Draws) -> Array:
    """The same, in one row of four; two have one of TOPS at one place too, and the fourth is of `scaled_ties`."""
    changed = small(array, limits, draws)
    if changed.ndim == 0 or changed.size == 0:
        return changed
    rows, rng = changed.reshape(-1, changed.shape[-1]), draws[1]
    turn = (np.arange(rows.shape[0]) + rng.integers(4)) % 4
    chosen = np.flatnonzero(turn < 2)
    rows[chosen, rng.integers(rows.shape[1], size=chosen.size)] = np.resize(TOPS, chosen.size)
    if limits.whole is None:
        rows[turn == 3] = scaled_ties((int((turn == 3).sum()), rows.shape[1]), rng).astype(array.dtype)
    return changed


def scaled_ties(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Rows of half numbers and one of TOPS, times a factor: divided by the scale that the greatest one gives, they are
    almost ties, and the rounding of the quotient decides which way each goes."""
    tops = rng.choice(TOPS, (shape[0], 1))
    halves = np.floor(rng.uniform(-1, 1, shape) * tops) + 0.5
    np.put_along_axis(halves, rng.integers(shape[1], size=tops.shape), tops, axis=1)
    rows: Array = halves * rng.uniform(0.5, 2, tops.shape)
    return rows


def near_ties(array: Array, rng: np.random.Generator) -> Array:
    """In every second row, all elements that are equal to the greatest, except one, become the next number towards
    zero, and so do those that are equal to the least: whatever compares fewer bits takes them for ties."""
    if not array.size:
        return array
    rows = array.reshape(-1, array.shape[-1] if array.ndim else 1).copy()
    numbers = np.flatnonzero(rng.random(rows.shape[0]) < 0.5)
    zero = array.dtype.type(0)
    for extreme in (np.max, np.min):
        equal = rows[numbers] == extreme(rows[numbers], axis=1, keepdims=True)
        kept = np.argmax(equal * rng.random(equal.shape), axis=1)
        equal[np.arange(numbers.size), kept] = False
        rows[numbers] = np.where(equal, np.nextafter(rows[numbers], zero), rows[numbers])
    return rows.reshape(array.shape)


def runs(array: Array, limits: ElementRange, draws: Draws) -> Array:
    """Runs of equal neighbours, with different lengths."""
    flat = array.reshape(-1)
    first = np.flatnonzero(draws[1].random(flat.size) < 0.3)
    starts = np.zeros(flat.size, np.int64)
    starts[first] = first
    return np.ascontiguousarray(flat[np.maximum.accumulate(starts)].reshape(array.shape))


def one_value(value: float | None = None) -> Fill:
    """One value everywhere; without `value` a drawn one: small, or one of the ordinary data."""

    def fill(array: Array, limits: ElementRange, draws: Draws) -> Array:
        chosen = value
        if chosen is None:
            ordinary = array.reshape(-1)[:1].tolist()
            ends = ordinary if limits.whole is None else [*limits.whole, *ordinary, *ordinary]
            usual = [1.0, -1.0, 0.5, 2.0] if limits.whole is None else []
            values = [*usual, *ends] or [0]
            chosen = values[int(draws[1].integers(len(values)))]
        return np.full_like(array, chosen)

    return fill


def greatest_throughout(array: Array, limits: ElementRange, draws: Draws) -> Array:
    """The greatest magnitude everywhere, so that sums of products are as great as they can be."""
    assert limits.whole is not None
    return np.full_like(array, max(limits.whole, key=abs))


def magnitudes(low: int | None, high: int | None, *, one_in: int = 1) -> Fill:
    """Numbers of either sign whose exponents are uniform from `low` to `high`, or between the type's own.

    `one_in`: only one element in this many.
    """

    def fill(array: Array, limits: ElementRange, draws: Draws) -> Array:
        rng = draws[1]
        least, most = limits.powers
        lowest, highest = max(least, low if low is not None else least), min(most, high if high is not None else most)
        exponents = rng.integers(lowest, highest, array.shape, endpoint=True)
        drawn = rng.uniform(1, 2, array.shape) * rng.choice([-1, 1], array.shape) * 2.0**exponents
        changed = np.where(rng.random(array.shape) < 1 / one_in, drawn, array.astype(np.float64))
        with np.errstate(all="ignore"):
            narrow: Array = changed.astype(array.dtype)
        return narrow

    return fill


def small_rows(array: Array, limits: ElementRange, draws: Draws) -> Array:
    """Numbers of either sign below 1; in three of four rows, all are below a power of two, which is drawn from an equal
    part of the range for each of them: a limit below a norm shows between it and the right one."""
    changed = magnitudes(None, -1)(array, limits, draws)
    if changed.ndim < 2 or changed.size == 0:
        return changed
    rows, rng = changed.reshape(-1, changed.shape[-1]), draws[1]
    chosen = np.flatnonzero((np.arange(rows.shape[0]) + rng.integers(4)) % 4)
    least, _ = limits.powers
    shares = (np.arange(chosen.size) + rng.random(chosen.size)) / max(chosen.size, 1)
    tops = 2.0 ** (least + 6 + shares * (-1 - least - 6))[:, None]
    rows[chosen] = np.clip(rows[chosen].astype(np.float64), -tops, tops).astype(array.dtype)
    return changed


RUN = 2
"""Elements of a run in `short_runs`: enough for a sum, too few to hide one wrong product."""

FEW = 500
"""Elements for each short run: a row of a check size has one or two."""


def short_runs(array: Array, limits: ElementRange, draws: Draws) -> Array:
    """Zeros except for short runs, one in about FEW elements, so that a sum depends on one thread's run.

    A smaller array, such as one of scales, is not changed: its zeros would hide everything that they multiply.
    """
    if array.size < FEW:
        return array
    flat = np.zeros(array.size, array.dtype)
    ordinary = array.reshape(-1)
    for start in draws[1].integers(-(-array.size // RUN), size=array.size // FEW) * RUN:
        flat[start : start + RUN] = ordinary[start : start + RUN]
    return flat.reshape(array.shape)


def scattered(array: Array, values: Sequence[float], draws: Sequence[np.random.Generator], count: int) -> Array:
    """`array` with `count` of its elements replaced by `values`, at positions of each of `draws`, and the last one too:
    it is in the last row, which a kernel may read again in place of rows that do not exist."""
    changed = array.copy()
    flat = changed.reshape(-1)
    with np.errstate(all="ignore"):
        numbers = np.array(values, array.dtype if array.dtype.kind in "iu" else np.float64).astype(array.dtype)
    for rng in draws if flat.size else ():
        positions = rng.choice(flat.size, min(count, flat.size), replace=False)
        flat[positions] = np.resize(numbers, positions.size)
        flat[-1] = flat[positions[0]]
    return changed
