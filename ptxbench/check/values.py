"""Kinds of data that ordinary random numbers never produce, and inputs that share memory. Knows pairs, but no kernels.

No pair says which of these it handles. Its own kernels decide: data on which one of them disagrees with the reference
are not counted. So most kinds have milder forms, which are used if the pair's own kernels fail the first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ptxbench.arrays import is_float, ue8m0
from ptxbench.check.element_ranges import ElementRange, is_updated_input, range_of_element
from ptxbench.check.fills import (
    ONE_IN,
    SIGNED_ZEROS,
    SMALL,
    UNIT,
    Fill,
    edge,
    greatest_throughout,
    integer_edges,
    magnitudes,
    near_ties,
    one_value,
    runs,
    short_runs,
    small,
    small_rows,
    small_with_tops,
    whole_edges,
    zeros_at_the_end,
    zeros_in_columns,
)
from ptxbench.check.row_fills import PEAK, far, in_order, multiples, near, peaks, rows_of, ties
from ptxbench.check.scalars import free_scalars
from ptxbench.pair import Argument, In, InOut, Out, Pair, Size

GREATEST = "the greatest integer throughout"
"""Whole numbers with which a counter or a sum in too few bits wraps, if there are many."""

GREAT = "one great element in each row"
"""The kind of data that `peaks` makes, which is tried at more sizes than others."""

HUGE = "one huge element in each row"
"""The same, so far above the others that its square is infinite."""

BELOW, ABOVE = "all far below zero", "all far above zero"
"""Data that show where a maximum, or a minimum, starts. Of several inputs only the first is below zero, so that the
products of two are too."""

NEAR = "all near one great value"
"""Data whose differences are lost in a sum of squares: a variance needs two passes, or Welford's algorithm."""

MASKED = "rows of -inf"
"""Rows without any number, as a mask makes them: a maximum stays what it was at the start, and a sum of powers is 0."""

ONE_SIGN = ("positive infinities", "negative infinities")
"""Infinities that do not cancel: a sum of both signs is NaN, whatever the kernel makes of one of them."""

INFINITE_ROWS, NAN_ROWS, ZERO_ROWS = "rows of inf", "rows of NaN", "rows of -0"
"""For a minimum; with NaN, of which no comparison is true; with -0, whose bits are those of the least integer."""

NOT_FINITE_KINDS = frozenset({"NaN", "infinities", *ONE_SIGN, MASKED, INFINITE_ROWS, NAN_ROWS})
"""Kinds of data with infinities or NaN."""

LEAST_ROWS, GREATEST_ROWS = "rows of the least integer", "rows of the greatest integer"
"""The same for integers: a maximum, or a minimum, stays what it was at the start, and so does its index."""

ASCENDING, DESCENDING = "ascending rows", "descending rows"
"""Each element is a new maximum, or none is but the first: a buffer of candidates gets full."""

MULTIPLES = "multiples of a power of two"
"""Different whole numbers whose lower bits are zero, which many a hash table has in one place."""

ZERO_COLUMNS = "signed zeros in columns"
"""Zeros of both signs as the greatest and the least elements of columns, for results of these."""

TIES_OF_FLOATS, TIES_OF_INTEGERS = "ties of floats of 8 bits", "ties of integers of 4 and 8 bits"
"""Rows whose quantised numbers are ties, for a pair with outputs of 8 bits."""

ROWS = (MASKED, INFINITE_ROWS, NAN_ROWS, ZERO_ROWS, LEAST_ROWS, GREATEST_ROWS, ASCENDING, DESCENDING)
FAR = (GREAT, HUGE, BELOW, ABOVE, NEAR, MULTIPLES, ZERO_COLUMNS, *ROWS)
"""Kinds that show no more than ordinary data if the results are sums of products of the inputs."""

FLOATS: Mapping[str, Sequence[Fill]] = {
    **{kind: (edge(kind), edge(kind, few=True)) for kind in ("NaN", "infinities", "subnormals", "huge values")},
    SIGNED_ZEROS: (zeros_at_the_end, edge(SIGNED_ZEROS), edge(SIGNED_ZEROS, few=True)),
    ZERO_COLUMNS: (zeros_in_columns,),
    "small whole and half numbers": (small_with_tops, small),
    "equal neighbours": (runs,),
    "zero throughout": (one_value(0),),
    "one value throughout": (one_value(),),
    "magnitudes of the whole range": (
        magnitudes(None, None),
        magnitudes(None, None, one_in=32),
        magnitudes(None, 60, one_in=8),
    ),
    "magnitudes of a part of the range": (magnitudes(-30, 30), magnitudes(-12, 12), magnitudes(-30, -1)),
    "small magnitudes": (small_rows, magnitudes(None, -1), magnitudes(-60, -1)),
    "zeros but for short runs": (short_runs,),
    GREAT: (peaks(PEAK), peaks(64), peaks(8)),
    HUGE: (peaks(2.0**96),),
    BELOW: (far(-1, 2.0**96), far(-1, 2.0**17), far(-1, 2.0**6)),
    ABOVE: (far(1, 2.0**96), far(1, 2.0**17), far(1, 2.0**6)),
    NEAR: (near(2.0**10), near(2.0**6), near(2.0**4)),
    **{
        kind: (rows_of(value, whole=True), rows_of(value, whole=False))
        for kind, value in ((MASKED, -np.inf), (INFINITE_ROWS, np.inf), (NAN_ROWS, np.nan), (ZERO_ROWS, -0.0))
    },
    **{kind: (edge(kind), edge(kind, few=True)) for kind in ONE_SIGN},
    **{kind: (partial(in_order, step),) for kind, step in ((ASCENDING, 1), (DESCENDING, -1))},
    TIES_OF_FLOATS: (ties(448),),
    TIES_OF_INTEGERS: (ties(127, 7, 6, 255, 15),),
}
"""Kinds of floating-point data, each with milder forms; the first one that the pair's own kernels pass counts."""

WHOLE: Mapping[str, Sequence[Fill]] = {
    "least and greatest integers": (whole_edges,),
    "small whole and half numbers": (small,),
    "equal neighbours": (runs,),
    "zero throughout": (one_value(0),),
    "one value throughout": (one_value(),),
    GREATEST: (greatest_throughout,),
    GREAT: (peaks(1),),
    BELOW: (far(-1, 1),),
    ABOVE: (far(1, 1),),
    NEAR: (near(1),),
    **{
        kind: (rows_of(end=end, whole=True), rows_of(end=end, whole=False))
        for end, kind in enumerate((LEAST_ROWS, GREATEST_ROWS))
    },
    **{kind: (partial(in_order, step),) for kind, step in ((ASCENDING, 1), (DESCENDING, -1))},
    MULTIPLES: (multiples,),
}
"""Kinds of integer data, within the legal range of the input."""

NAN_SCALES = "NaN among the scales"
SCALES: Mapping[str, Sequence[Fill]] = {NAN_SCALES: (edge("NaN", few=True),)}
"""Kinds of data of ue8m0, which has no sign and no zero. The other inputs are as usual then: a NaN in a vector that all
results need would hide what becomes of a scale. Few, because infinities of both signs in a row are a NaN too."""


def kinds_of(arg: Argument) -> Mapping[str, Sequence[Fill]]:
    """The kinds of data that an argument can have."""
    if isinstance(arg, In) and arg.dtype == ue8m0 and not arg.related:
        return SCALES
    limits = range_of_element(arg)
    return {} if limits is None else FLOATS if limits.whole is None else WHOLE


def data_kinds(pair: Pair) -> list[str]:
    """The kinds of data that an input of the pair can have, and that may show something."""
    quantised = {is_float(arg.dtype) for arg in pair.args if isinstance(arg, Out | InOut) and arg.dtype.itemsize == 1}
    left_out = {kind for kind, floats in ((TIES_OF_FLOATS, True), (TIES_OF_INTEGERS, False)) if floats not in quantised}
    return [kind for kind in dict.fromkeys(kind for arg in pair.args for kind in kinds_of(arg)) if kind not in left_out]


def inputs_of(pair: Pair, kind: str) -> list[str]:
    """The inputs that can have data of a kind."""
    return [arg.name for arg in pair.args if kind in kinds_of(arg)]


def edged(
    pair: Pair, size: Size, kind: str, seed: int, *, varied: bool = True, only: Collection[str] | None = None
) -> Iterator[Mapping[str, Any]]:
    """Arguments with data of a kind in every input that can have it, or in `only` some; each next form is milder."""
    ordinary = pair.make_arguments(size, seed, varied=varied)
    number = [*FLOATS, *WHOLE, *SCALES].index(kind)
    forms = max(len(kinds.get(kind, ())) for kinds in (FLOATS, WHOLE, SCALES))
    for form in range(forms):
        changed: dict[str, Any] = {}
        for index, arg in enumerate(pair.args):
            kind_here = ABOVE if kind == BELOW and changed else kind
            fills = kinds_of(arg).get(kind_here, ())
            if fills and (only is None or arg.name in only):
                limits = range_of_element(arg) or ElementRange(ue8m0, None)
                # shared positions are drawn again for each input, from the same seed
                draws = np.random.default_rng([seed, number]), np.random.default_rng([seed, number, 1 + index])
                array = ordinary[arg.name]
                filled = fills[min(form, len(fills) - 1)](array, limits, draws)
                changed[arg.name] = np.reshape(filled, array.shape)  # of one element it may be a number, or a row
        if kind == "small whole and half numbers":
            changed |= small_scalars(pair, seed)
        yield {**ordinary, **changed}


def small_scalars(pair: Pair, seed: int) -> Mapping[str, Any]:
    """A small number for each floating-point scalar without a restriction."""
    rng = np.random.default_rng([seed, len(pair.args)])
    return {name: dtype.type(rng.choice(SMALL)) for name, dtype in free_scalars(pair).items() if is_float(dtype)}


def mixed(pair: Pair, arguments: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    """Arguments with some small whole and half numbers, special integers, equal neighbours, and greatest elements that
    are equal or almost so in their inputs: values that any pair accepts, but random numbers never produce."""
    changed: dict[str, Any] = {}
    for index, arg in enumerate(pair.args):
        limits = range_of_element(arg)
        # A zero in a short array, such as a scale of everything else, would hide errors elsewhere.
        if (limits is None and not is_updated_input(arg)) or (array := arguments[arg.name]).size < ONE_IN:
            continue
        rng = np.random.default_rng([seed, 1 << 20, index])
        flat = array.reshape(-1).copy()
        repeated = np.flatnonzero(rng.random(flat.size) < 1 / ONE_IN)
        flat[repeated] = flat[np.maximum(repeated - 1, 0)]
        if limits is not None:
            # From integers of 64 bits without a sign, and smaller ones, NumPy would make floats.
            values = np.array(UNIT) if limits.whole is None else np.array(integer_edges(*limits.whole), flat.dtype)
            chosen = rng.random(flat.size) < 1 / ONE_IN
            flat[chosen] = values.astype(flat.dtype)[rng.integers(len(values), size=int(chosen.sum()))]
        mixed_array = flat.reshape(array.shape)
        changed[arg.name] = near_ties(mixed_array, rng) if limits is not None and limits.whole is None else mixed_array
    return {**arguments, **changed}


def shared(pair: Pair, size: Size, seed: int) -> tuple[Mapping[str, Any], Mapping[str, str]] | None:
    """Arguments in which two inputs are one array, and which ones: {second: first}. None if no two inputs can be.

    Inputs may always share memory, because they are not written; an output shares its memory with nothing.
    """
    arguments = pair.make_arguments(size, seed)
    inputs = [arg for arg in pair.args if isinstance(arg, In)]
    for i, first in enumerate(inputs):
        for second in inputs[i + 1 :]:
            same_kind = first.dtype == second.dtype and first.values == second.values
            if same_kind and arguments[first.name].size == arguments[second.name].size:
                shared_array = arguments[first.name].reshape(arguments[second.name].shape)
                return {**arguments, second.name: shared_array}, {second.name: first.name}
    return None
