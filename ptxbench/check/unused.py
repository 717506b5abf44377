"""Elements of inputs on which no result depends, such as the end of the last page of a cache, or of a short sequence.

A kernel that reads them must not let them into a result: multiplied by zero, a NaN is still NaN. Knows pairs, but no
kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ptxbench.arrays import Array, is_float
from ptxbench.check.element_ranges import range_of_element
from ptxbench.pair import In, Pair
from ptxbench.verify import reference_of

MOST_TRIALS, FRUITLESS = 96, 32
"""The most evaluations of the reference for one input, and the most if none of them finds an unused row. Some such rows
may then not be found."""

UNUSED_NAN = "NaN in elements on which no result depends"
"""The name of such data."""


def chooses_elements(pair: Pair) -> bool:
    """Whether the pair has indices or lengths among its inputs, so that results may not depend on some elements."""
    return any(isinstance(arg, In) and not is_float(arg.dtype) and range_of_element(arg) is None for arg in pair.args)


def with_unused_nan(pair: Pair, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """`arguments` with NaN in rows of inputs on which no result depends; None if none was found.

    A row is the last axis of an input, or one element of an input with one axis.
    """
    expected, _ = reference_of(pair, arguments)
    changed = dict(arguments)

    def unchanged(name: str, array: Array) -> bool:
        results, _ = reference_of(pair, {**changed, name: array})
        return all(np.array_equal(values, expected[other]) for other, values in results.items())

    for arg in pair.args:
        if isinstance(arg, In) and is_float(arg.dtype) and range_of_element(arg) and arguments[arg.name].size:
            changed[arg.name] = with_nan(arguments[arg.name], partial(unchanged, arg.name))
    return changed if any(changed[name] is not arguments[name] for name in changed) else None


def with_nan(array: Array, unchanged: Callable[[Array], bool]) -> Array:
    """The array with NaN in rows that `unchanged` allows; the array itself if there are none.

    Ranges of rows are halved, those next to an unused range first, because a kernel that reads too far reads there; of
    the others the longest ones first.
    """
    length = array.shape[-1] if array.ndim > 1 else 1
    count = array.size // length
    unused = np.zeros(count + 2, bool)  # with a row before the first, and one after the last
    ranges = [(0, count)]

    def urgency(rows: tuple[int, int]) -> tuple[bool, int]:
        first, last = rows
        return bool(unused[first] or unused[last + 1]), last - first

    for trial in range(MOST_TRIALS):
        if not ranges or (trial == FRUITLESS and not unused.any()):
            break
        first, last = max(ranges, key=urgency)
        ranges.remove((first, last))
        tried = array.copy()
        tried.reshape(-1)[first * length : last * length] = np.nan
        if unchanged(tried):
            array = tried
            unused[first + 1 : last + 1] = True
        elif last - first > 1:
            middle = (first + last) // 2
            ranges += [(first, middle), (middle, last)]
    return array
