"""Kinds of data that ordinary random numbers never produce, and inputs that share memory. Knows pairs, but no kernels.

No pair says which of these it handles. Its own kernels decide: data on which one of them disagrees with the reference
are not counted. So most kinds have milder forms, which are used if the pair's own kernels fail the first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeGuard

import ml_dtypes
import numpy as np

from ptxbench.arrays import Array, is_float, ue8m0
from ptxbench.check.peak_positions import peak_positions
from ptxbench.pair import Argument, In, InOut, Pair, Scalar, Size

ONE_IN = 16
"""One element in this many gets a special value, and at least one."""

SMALL = (0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1.5, 3.0)
"""Small whole and half numbers."""

MANY_STEPS = 16
"""So many steps from an element to the next have one sign by chance once in 2^15 inputs."""

UNIT = (0.0, 1.0, -1.0, 0.5, -0.5)
"""The values of the above within the usual range of random data."""

Draws = tuple[np.random.Generator, np.random.Generator]
"""Random numbers shared by all inputs of one size, so that special values meet, and an input's own."""

Fill = Callable[[Array, "ElementRange", Draws], Array]
"""Makes data of a kind from an input's ordinary data."""


@dataclass(frozen=True)
class ElementRange:
    """The legal elements of an input: the type, and the closed range of integers; None for floats."""

    dtype: np.dtype[Any]
    whole: tuple[int, int] | None

    @property
    def powers(self) -> tuple[int, int]:
        """Exponents of the smallest normal number and of the greatest number."""
        limits: Any = ml_dtypes.finfo(self.dtype)  # type: ignore[no-untyped-call]  # NumPy's own knows no bf16
        return int(limits.minexp), int(limits.maxexp) - 1


def range_of_element(arg: Argument) -> ElementRange | None:
    """The legal elements of an argument; None if only the pair knows, as for indices."""
    if is_updated_input(arg) and is_float(arg.dtype):
        return ElementRange(arg.dtype, None)
    if not isinstance(arg, In) or arg.related or arg.dtype == ue8m0:  # a scale, which has no sign and no zero
        return None
    if is_float(arg.dtype):
        return ElementRange(arg.dtype, None)
    if arg.legal is not None:
        return ElementRange(arg.dtype, arg.legal)
    if arg.values is None:
        return ElementRange(arg.dtype, (int(np.iinfo(arg.dtype).min), int(np.iinfo(arg.dtype).max)))
    return None


def is_updated_input(arg: Argument) -> TypeGuard[InOut]:
    """Whether a kernel replaces an array by what it computes from it, such as its sorted rows: no accumulator."""
    return isinstance(arg, InOut) and arg.values is not None


def with_sorted_inputs(pair: Pair) -> Pair:
    """The pair, whose sorted inputs are `related`: a search in numbers that are not sorted has no right result."""
    size = max(pair.check_sizes, key=pair.compulsory_bytes)
    own = [arg for arg in pair.args if isinstance(arg, In) and arg.values is not None and arg.legal is None]
    drawn = pair.make_arguments(size, 0) if own else {}
    ordered = {arg.name for arg in own if is_sorted(drawn[arg.name])}
    args = [replace(arg, related=True) if isinstance(arg, In) and arg.name in ordered else arg for arg in pair.args]
    return replace(pair, args=args) if ordered else pair


def is_sorted(array: Array) -> bool:
    """Whether all rows are ascending, or all descending, and not by chance."""
    steps = np.diff(array.astype(np.float64), axis=-1)
    return steps.size >= MANY_STEPS and (bool((steps >= 0).all()) or bool((steps <= 0).all())) and bool(steps.any())


# ---- kinds


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
    """A third of the elements are zeros of either sign. In the first half of the array none is above zero, in the other
    half none below: the greatest, or the least, are equal, although their bits differ."""
    size, rng = array.size, draws[1]
    signs = np.where(np.arange(size) < size // 2, -1.0, 1.0)
    zeros = rng.choice([0.0, -0.0], size)
    changed = np.where(rng.random(size) < 1 / 3, zeros, signs * np.abs(array.reshape(-1).astype(np.float64)))
    narrow: Array = changed.reshape(array.shape).astype(array.dtype)
    return narrow


TOPS = (7, 127, 15, 255)
"""The greatest whole numbers of 4 and 8 bits: divided by a row's greatest magnitude over one of them, and rounded, the
half numbers of a row with that number are ties."""


def small_with_tops(array: Array, limits: ElementRange, draws: Draws) -> Array:
    """The same, with one of TOPS at one place of two rows in three."""
    changed = small(array, limits, draws)
    if changed.ndim == 0 or changed.size == 0:
        return changed
    rows = changed.reshape(-1, changed.shape[-1])
    chosen = np.flatnonzero(np.arange(rows.shape[0]) % 3 < 2)
    rows[chosen, draws[1].integers(rows.shape[1], size=chosen.size)] = np.resize(TOPS, chosen.size)
    return changed


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
    """Numbers of either sign below 1; in every second row, all are below a power of two, from the least ones on."""
    changed = magnitudes(None, -1)(array, limits, draws)
    if changed.ndim < 2 or changed.size == 0:
        return changed
    rows = changed.reshape(-1, changed.shape[-1])[1::2]
    least, _ = limits.powers
    tops = 2.0 ** np.linspace(least + 6, -1, rows.shape[0] + 1)[:-1, None]
    rows[:] = np.clip(rows.astype(np.float64), -tops, tops).astype(array.dtype)
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

SIGNED_ZEROS = "signed zeros"

ONE_SIGN = ("positive infinities", "negative infinities")
"""Infinities that do not cancel: a sum of both signs is NaN, whatever the kernel makes of one of them."""

INFINITE_ROWS, NAN_ROWS, ZERO_ROWS = "rows of inf", "rows of NaN", "rows of -0"
"""For a minimum; with NaN, of which no comparison is true; with -0, whose bits are those of the least integer."""

LEAST_ROWS, GREATEST_ROWS = "rows of the least integer", "rows of the greatest integer"
"""The same for integers: a maximum, or a minimum, stays what it was at the start, and so does its index."""

ASCENDING, DESCENDING = "ascending rows", "descending rows"
"""Each element is a new maximum, or none is but the first: a buffer of candidates gets full."""

MULTIPLES = "multiples of a power of two"
"""Different whole numbers whose lower bits are zero, which many a hash table has in one place."""

ROWS = (MASKED, INFINITE_ROWS, NAN_ROWS, ZERO_ROWS, LEAST_ROWS, GREATEST_ROWS, ASCENDING, DESCENDING)
FAR = (GREAT, HUGE, BELOW, ABOVE, NEAR, MULTIPLES, *ROWS)
"""Kinds that show no more than ordinary data if the results are sums of products of the inputs."""

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
        lowest, highest = float(least), float(most)
    else:
        changed = array.copy()
        limit = float(ml_dtypes.finfo(array.dtype).max)  # type: ignore[no-untyped-call]
        scale = PEAK * max(1.0, float(np.abs(array.astype(np.float64)).max()))
        lowest, highest = -min(scale / LOWER, limit), min(scale, limit)
    changed.reshape(-1)[[low, high]] = lowest, highest
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


def near(value: float) -> Fill:
    """The data, moved up by `value`."""

    def fill(array: Array, limits: ElementRange, draws: Draws) -> Array:
        limit = float(ml_dtypes.finfo(array.dtype).max)  # type: ignore[no-untyped-call]
        moved: Array = np.minimum(array.astype(np.float64) + value, limit).astype(array.dtype)
        return moved

    return fill


def rows_of(value: float | None = None, *, end: int = 0, whole: bool) -> Fill:
    """`value`, or this `end` of the integers, in all of one row, in all of another but one element, in the first half
    of the next, and so on with each fourth row ordinary. `whole`: whether there are rows, or an array of one axis,
    without any other element; then each eighth column is such a row too, for results of columns."""

    def fill(array: Array, limits: ElementRange, draws: Draws) -> Array:
        changed = array.copy()
        rows = changed.reshape(-1, array.shape[-1] if array.ndim else 1)
        if rows.size == 0:
            return array
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


FLOATS: Mapping[str, Sequence[Fill]] = {
    **{kind: (edge(kind), edge(kind, few=True)) for kind in ("NaN", "infinities", "subnormals", "huge values")},
    SIGNED_ZEROS: (zeros_at_the_end, edge(SIGNED_ZEROS), edge(SIGNED_ZEROS, few=True)),
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


# ---- data


def kinds_of(arg: Argument) -> Mapping[str, Sequence[Fill]]:
    """The kinds of data that an argument can have."""
    if isinstance(arg, In) and arg.dtype == ue8m0 and not arg.related:
        return SCALES
    limits = range_of_element(arg)
    return {} if limits is None else FLOATS if limits.whole is None else WHOLE


def data_kinds(pair: Pair) -> list[str]:
    """The kinds of data that an input of the pair can have."""
    return list(dict.fromkeys(kind for arg in pair.args for kind in kinds_of(arg)))


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
                changed[arg.name] = fills[min(form, len(fills) - 1)](ordinary[arg.name], limits, draws)
        if kind == "small whole and half numbers":
            changed |= small_scalars(pair, seed)
        yield {**ordinary, **changed}


def small_scalars(pair: Pair, seed: int) -> Mapping[str, Any]:
    """A small number for each floating-point scalar without a restriction."""
    rng = np.random.default_rng([seed, len(pair.args)])
    return {name: dtype.type(rng.choice(SMALL)) for name, dtype in free_scalars(pair).items()}


def free_scalars(pair: Pair) -> Mapping[str, np.dtype[Any]]:
    """The floating-point scalars that may have any value, and their types."""
    return {
        arg.name: arg.dtype
        for arg in pair.args
        if isinstance(arg, Scalar) and is_float(arg.dtype) and arg.values is None and not callable(arg.value)
    }


def scattered(array: Array, values: Sequence[float], draws: Sequence[np.random.Generator], count: int) -> Array:
    """`array` with `count` of its elements replaced by `values`, at positions of each of `draws`, and the last one too:
    it is in the last row, which a kernel may read again in place of rows that do not exist."""
    changed = array.copy()
    flat = changed.reshape(-1)
    for rng in draws if flat.size else ():
        positions = rng.choice(flat.size, min(count, flat.size), replace=False)
        with np.errstate(all="ignore"):
            flat[positions] = np.resize(np.array(values).astype(array.dtype), positions.size)
            flat[-1] = flat[positions[0]]
    return changed


def mixed(pair: Pair, arguments: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    """Arguments with some small whole and half numbers, special integers and equal neighbours in their inputs: values
    that any pair accepts, but random numbers never produce."""
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
            values = UNIT if limits.whole is None else integer_edges(*limits.whole)
            chosen = rng.random(flat.size) < 1 / ONE_IN
            flat[chosen] = np.array(values).astype(flat.dtype)[rng.integers(len(values), size=int(chosen.sum()))]
        changed[arg.name] = flat.reshape(array.shape)
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
