"""Values of scalars that are rarely drawn. Knows pairs, but no kernels."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ptxbench.arrays import is_float
from ptxbench.pair import Pair, Scalar

GREAT_POWERS = 4, 20
"""Exponents of a great scalar: beyond the drawn ones, and from 16 on also beyond what f16 can hold."""

MOST_NAMED, MOST_NAMED_WHOLE = 3, 6
"""So many of a text's floating-point numbers, and of its whole numbers, are tried as a scalar."""


def free_scalars(pair: Pair) -> Mapping[str, np.dtype[Any]]:
    """The scalars that may have any value, and their types."""
    return {
        arg.name: arg.dtype
        for arg in pair.args
        if isinstance(arg, Scalar) and arg.values is None and not callable(arg.value)
    }


def ends_of_ranges(pair: Pair) -> Mapping[str, Sequence[float]]:
    """The ends of the ranges in which scalars may be, by name; without ranges of one number."""
    ranges = {arg.name: arg.values for arg in pair.args if isinstance(arg, Scalar)}
    return {name: ends for name, ends in ranges.items() if ends and not callable(ends) and ends[0] < ends[1]}


def special_values(dtype: np.dtype[Any], drawn: random.Random) -> Sequence[float]:
    """0, -0, 1, -1, a half, 2, a great number, infinities and NaN. Of an integer only 0 and 1, and -1 if it has a
    sign: others may be too many steps of a loop, or elements that no array has."""
    if not is_float(dtype):
        return (0, 1, -1) if dtype.kind == "i" else (0, 1)
    great = drawn.choice((-1, 1)) * 2.0 ** drawn.uniform(*GREAT_POWERS)
    return 0.0, -0.0, 1.0, -1.0, 0.5, 2.0, great, math.inf, -math.inf, math.nan


def high_bits(dtype: np.dtype[Any], drawn: random.Random) -> int | None:
    """An integer with high bits, such as a seed has, negative in one of two cases if the type has a sign; None for a
    floating-point type."""
    if is_float(dtype):
        return None
    bits = 8 * dtype.itemsize - (dtype.kind == "i")
    value = drawn.getrandbits(bits) | 1 << bits - 1
    return value if dtype.kind == "u" else value * drawn.choice((1, -1))


def many_steps(drawn: random.Random) -> int:
    """A number of steps that 8 bits do not hold, and whose lower 8 bits are another number of steps."""
    return (1 << 8) + drawn.randrange(1, 32)


def whole_numbers(whole: Collection[int], dtype: np.dtype[Any], drawn: random.Random) -> Sequence[int]:
    """Some of a text's whole numbers that the type can hold, each with the next one: one is equal to what the text
    compares with, or beyond a limit. None for a floating-point type."""
    if is_float(dtype):
        return ()
    chosen = drawn.sample(sorted(whole), min(MOST_NAMED_WHOLE, len(whole)))
    return [value for number in chosen for value in (number, number + 1) if value <= np.iinfo(dtype).max]


def signed_numbers(floats: Collection[float], drawn: random.Random) -> Sequence[float]:
    """Some of a text's floating-point numbers, of both signs."""
    chosen = drawn.sample(sorted(floats), min(MOST_NAMED, len(floats)))
    return [sign * number for number in chosen for sign in (1, -1)]
