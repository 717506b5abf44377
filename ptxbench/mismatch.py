"""What the wrong elements of an output have in common: where they are, and how their values relate to what is expected.

Each rule holds for every wrong element, so that it describes the error and does not guess.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ptxbench.arrays import Array

MOST_MOVED = 32
"""The farthest in elements, besides one row, from which a value may come."""
FEWEST = 8
"""The fewest wrong elements whose values are compared: for fewer, a rule could hold by chance."""
FACTOR_ERROR = 1 / 256
"""The greatest relative difference between the factors of elements that count as one factor."""


@dataclass(frozen=True)
class Common:
    """What wrong elements have in common: the part of the array that has them, and a sentence about their values."""

    region: str = ""
    relation: str = ""


def region_of(wrong: Array) -> str:
    """The smallest region that has all wrong elements, as slices of NumPy: `[:, 96:]`, `[3::4]`.

    Empty if it says little: for one or two wrong elements, if fewer than half of its elements are wrong, or if it has
    more than three quarters of the array.
    """
    count = int(wrong.sum())
    if count < 3:
        return ""
    places, inside = [], 1
    for axis, extent in enumerate(wrong.shape):
        others = tuple(other for other in range(wrong.ndim) if other != axis)
        along = np.flatnonzero(wrong.any(axis=others))
        first, last = int(along[0]), int(along[-1])
        step = math.gcd(*np.unique(np.diff(along)).tolist()) if along.size > 2 else 1
        inside *= (last - first) // step + 1
        if first == last and extent > 1:
            places.append(str(first))
            continue
        start, stop = first or "", "" if last + step >= extent else last + 1
        places.append(f"{start}:{stop}" if step == 1 else f"{start}:{stop}:{step}")
    return f"[{', '.join(places)}]" if inside <= 2 * count and 4 * inside <= 3 * wrong.size else ""


def relation_of(actual: Array, expected: Array, bounds: Array, wrong: Array) -> str:
    """How the values of the wrong elements relate to the expected ones, as a sentence; empty if no rule holds for all.

    All four arrays have one shape; `actual` and `expected` have numbers that float64 holds well enough to compare.
    """
    values, wanted = actual[wrong].astype(np.float64), expected[wrong].astype(np.float64)
    if values.size < FEWEST or not (np.isfinite(values).all() and np.isfinite(wanted).all()):
        return ""
    if not values.any():
        return "All of them are 0."
    if not np.ptp(values) and not np.ptp(wanted):
        return "Each has these two values."
    if factor := factor_of(values, wanted):
        return f"Each is {factor:.4g} times the expected value."
    offset = float(np.median(values - wanted))
    if comes_from(values - offset, wanted, 2 * bounds[wrong]):
        is_exact = actual.dtype.kind in "iu" and abs(offset) < 1 << 53
        amount = f"{abs(int(offset)):,}" if is_exact else f"{abs(offset):.4g}"
        return f"Each is {amount} {'more' if offset > 0 else 'less'} than the expected value."
    if wrong.ndim == 2 and wrong.shape[0] == wrong.shape[1] and comes_from(values, expected.T[wrong], bounds.T[wrong]):
        return "They have the values that are expected in the transposed array."
    return moved(values, expected.reshape(-1), bounds.reshape(-1), wrong)


def factor_of(values: Array, wanted: Array) -> float:
    """The factor between all values and the expected ones; 0 if there is none, if it is about 1, or if an expected
    value is 0."""
    if not wanted.all():
        return 0.0
    factors = values / wanted
    factor = float(np.median(factors))
    spread = float(np.max(np.abs(factors - factor)))
    return factor if spread <= FACTOR_ERROR * abs(factor) and abs(factor - 1) > 2 * FACTOR_ERROR else 0.0


def moved(values: Array, expected: Array, bounds: Array, wrong: Array) -> str:
    """The sentence for values that are expected at other places. `expected` and `bounds` have one dimension."""
    for sources, sentence in other_places(np.flatnonzero(wrong), wrong.shape[-1]):
        exist = (sources >= 0) & (sources < expected.size)
        sources = sources[exist]
        if sources.size >= FEWEST and comes_from(values[exist], expected[sources], bounds[sources]):
            return sentence
    return ""


def other_places(places: Array, row: int) -> Iterator[tuple[Array, str]]:
    """Flat indices from which the values at `places` may come, and the sentence for it. `row`: its elements."""
    distances = [1 << k for k in range(MOST_MOVED.bit_length())]
    for distance in distances[:-1]:
        yield places ^ distance, f"Each has the value that is expected at its index ^ {distance}."
    for distance in sorted({*distances, row}):
        noun = "1 element" if distance == 1 else f"{distance} elements"
        for sign, word in ((1, "after"), (-1, "before")):
            yield places + sign * distance, f"They have the values that are expected {noun} {word} them."


def comes_from(values: Array, wanted: Array, bounds: Array) -> bool:
    """Whether all values are within their bounds of others, which are not all alike."""
    close = (np.abs(values - wanted) <= bounds) & (bounds < np.inf)
    return bool(close.all()) and bool(np.ptp(wanted) > 0)
