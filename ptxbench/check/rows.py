"""For which pairs and at which sizes great elements at every position of a row are tried. Knows pairs, but no kernels.

If the results are sums of products of the inputs, any element that a kernel leaves out shows on ordinary data. If they
are not, such as with a maximum, it may show only if it is far above the others, and at another position in each launch
or row. A row is what the last axis of an input spans. A kernel often has other code for rows of other lengths, so
every length that the pair names gets many rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ptxbench.arrays import Array, wide
from ptxbench.check.space import SizeSpace
from ptxbench.pair import In, InOut, Out, Pair, Size
from ptxbench.verify import reference_of

COST = 2.6
"""How many times CHEAP such a launch may cost: 40 rows of 8192 elements, in some 5 ms."""

LONG_ROWS, COST_OF_LONG_ROWS = 20, 3 * COST
"""If rows are so long, such as 50,000 elements, that fewer than LONG_ROWS fit into COST, a launch may cost more, some
15 ms: with fewer rows most positions of a row would never have a great element."""

ROWS = (80, 40, 20, 5, 2)
"""Numbers of rows, of which the first that fits is used: a power of two for equal parts of a row, and a quarter more
for its ends and the borders of tiles."""

LAUNCHES = 34
"""The launches for an input that is one row: two for its ends, and one for each lane of a warp."""

FEW = 64
"""An output has few elements if an input has at least this many times as many."""

ROUNDING = 1e-6
"""The most that the rounding of a reference may be, as a share of the greatest result: some add numbers as f32."""


def sizes_with_rows(pair: Pair) -> Iterator[Size]:
    """The check sizes and bench sizes with as many rows as the cost allows, the cheapest first, without duplicates."""
    space, larger = (space_of_rows(pair, cost) for cost in (COST, COST_OF_LONG_ROWS))
    named = [(size, size) for size in pair.check_sizes] + [(size, {}) for size in pair.bench_sizes]
    sizes: dict[tuple[int, ...], Size] = {}
    for size, least in named:
        grown = with_rows(space, size, least, ROWS)
        if 0 < max(rows_by(pair, name, grown) for name in space.steps) < LONG_ROWS:
            grown = with_rows(larger, grown, least, (LONG_ROWS,))
        elif not space.fits(grown):
            continue
        if larger.fits(grown) and space.takes(grown):
            sizes.setdefault(tuple(grown.values()), grown)
    yield from sorted(sizes.values(), key=pair.compulsory_bytes)


def space_of_rows(pair: Pair, cost: float) -> SizeSpace:
    """The sizes that cost up to so many times CHEAP."""
    space = SizeSpace.of(pair, cheap=cost)
    # The flops of a result, times all threads, say nothing about reductions, whose threads share them.
    return replace(space, most=(*space.most[:-1], math.inf), _shares={})


def with_rows(space: SizeSpace, size: Size, least: Mapping[str, int], numbers: Sequence[int]) -> Size:
    """`size` with the first of these numbers of rows that fits, in each input of several axes; no dimension below that
    of `least`."""
    for name, step in space.steps.items():
        rows = rows_by(space.pair, name, size)
        for wanted_rows in numbers if rows else ():
            value = max(math.ceil(wanted_rows * size[name] / rows / step) * step, least.get(name, step))
            grown = {**size, name: value}
            if space.fits(grown) and space.takes(grown):
                size = grown
                break
    return size


def rows_by(pair: Pair, name: str, size: Size) -> int:
    """The least number of rows of the inputs that get more rows with a larger value of this dimension.

    It is 0 if there is no such input, if rows get longer too, or if a function of the pair fails.
    """
    try:
        before, after = (
            [arg.shape(**dimensions) for arg in pair.args if isinstance(arg, In)]
            for dimensions in (size, {**size, name: 2 * size[name]})
        )
    except Exception:  # the pair's own functions, at a size that it does not promise
        return 0
    of_rows = [both for both in zip(before, after, strict=True) if len(both[0]) > 1]
    if any(shape[-1] != larger[-1] for shape, larger in of_rows):
        return 0
    return min((math.prod(shape[:-1]) for shape, larger in of_rows if shape != larger), default=0)


def single_rows(pair: Pair, size: Size, names: Iterable[str]) -> list[str]:
    """The inputs among `names` that have one axis, if all outputs have few elements: a launch of a maximum over
    everything shows only one peak."""
    elements = {arg.name: math.prod(arg.shape(**size)) for arg in pair.args if isinstance(arg, Out | InOut)}
    shapes = {arg.name: arg.shape(**size) for arg in pair.args if isinstance(arg, In) and arg.name in names}
    most = FEW * max(elements.values(), default=0)
    return [name for name, shape in shapes.items() if len(shape) == 1 and math.prod(shape) >= most]


def nonlinear(pair: Pair, names: Iterable[str], ordinary: Mapping[str, Any], changed: Mapping[str, Any]) -> list[str]:
    """The inputs among `names` in which the reference is not linear, or on which it fails.

    Tested with three values: `ordinary`, `changed`, and one as far beyond `changed`."""
    return [name for name in names if not is_linear(pair, name, ordinary, changed)]


def is_linear(pair: Pair, name: str, ordinary: Mapping[str, Any], changed: Mapping[str, Any]) -> bool:
    try:
        with np.errstate(all="ignore"):
            first, second = wide(ordinary[name]), wide(changed[name])
            values = first, second, 2 * second - first
            return at_equal_distances(*(reference_of(pair, {**ordinary, name: value})[0] for value in values))
    except Exception:  # the pair's own function, on values that it does not promise
        return False


def at_equal_distances(*results: Mapping[str, Array]) -> bool:
    """Whether three results lie on a line, element by element, within its rounding. Equal ones, as of a search that
    finds nothing, show no line."""
    moved = False
    for first, second, third in zip(*(map(wide, result.values()) for result in results), strict=True):
        scale = max((float(np.abs(value).max()) for value in (first, second, third) if value.size), default=0.0)
        if not (np.abs(first - 2 * second + third) <= ROUNDING * scale).all():
            return False
        moved = moved or bool((first != third).any())
    return moved
