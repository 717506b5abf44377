"""Sizes that a pair does not name, because a candidate could know the others; some resemble the timed sizes.

Each kind of size is a function that draws one. Draws that do not fit are repeated. The caller finds out whether the
pair's own kernels fail at a size, and then takes the next one of the kind.
"""

from __future__ import annotations

import contextlib
import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from ptxbench.check.space import SizeSpace, power_of_two
from ptxbench.pair import Pair, Size

DRAWS = 40
"""The most draws for a kind. If the pair's functions refuse all of them, the kind has no size."""

NEAR = 0.93
"""From this share of the greatest cost on, a size counts as near it."""

RESTS = 4
"""Elements of the vectors that most kernels read. How many elements follow the last whole vector depends on the
remainder of a division by it."""

MODERATE = 0.1
"""The share of CHEAP up to which sizes are drawn that are launched often."""

AT_LENGTH = 4
"""How many times the greatest cost of other sizes a size may cost that has the greatest length of a bench size."""

WITH_MANY_CTAS = 8
"""How many times the greatest cost of other sizes a size may cost that has more CTAs than each has threads."""

MOST_DIMENSIONS = 4
"""The most dimensions that are made long or short; more are sampled."""

FEW = 4
"""A dimension whose greatest value is less than so many times its least has few values: it may select what is done."""

Draw = Callable[[random.Random], Size | None]
"""Draws a size of a kind; None if this draw has no result."""


def kinds(pair: Pair, drawn: random.Random) -> dict[str, Draw]:
    """The kinds of hidden sizes of a pair, by name."""
    space, moderate = SizeSpace.of(pair), SizeSpace.of(pair, cheap=MODERATE)
    wide = space.times(AT_LENGTH)
    weighty = [name for name in space.steps if space.matters(name)]
    chosen = drawn.sample(weighty, min(MOST_DIMENSIONS, len(weighty)))
    draws: dict[str, Draw] = {
        "even grid": partial(even_grid, moderate),
        "largest": partial(largest, space),
        "any": partial(any_size, moderate),
        "powers of two": partial(powers_of_two, space),
        "other powers of two": partial(powers_of_two, space),
        "odd": partial(odd, space),
        "any other": partial(any_size, space),
    }
    if len(space.steps) > 1:
        draws |= {f"long {name}": partial(long, space, name) for name in sorted(chosen)}
        draws |= {f"short {name}": partial(short, moderate, name) for name in sorted(chosen)}
    elif space.steps:
        draws |= {f"long, rest {rest}": partial(long_with_rest, space, rest) for rest in range(RESTS)}
    for name in sorted(weighty):
        values = sorted({size[name] for size in pair.bench_sizes}, reverse=True)
        fitting = [value for value in values if space.fits({**space.low, name: value})]
        longest = [value for value in values if wide.fits({**space.low, name: value})][:1]
        others = [value for value in fitting if value not in longest] if name in chosen else []
        for value in [*longest, *drawn.sample(others, min(1, len(others)))]:
            draws[f"{name}={value}"] = partial(as_timed, space if value in fitting else wide, name, value)
    for name in space.steps:  # a number of repetitions, or of CTAs, may be without a cost where the others are small
        if name not in weighty and space.high[name] > max(size[name] for size in pair.check_sizes):
            draws[f"{name}={space.high[name]}"] = partial(as_timed, space, name, space.high[name])
    return draws


def hidden_sizes(pair: Pair, draw: Draw, drawn: random.Random) -> Iterator[Size]:
    """Sizes of one kind that the pair accepts and that are not check sizes, without duplicates."""
    seen = [dict(size) for size in pair.check_sizes]
    space = SizeSpace.of(pair).times(AT_LENGTH)
    for _ in range(DRAWS):
        size = draw(drawn)
        if size is not None and size not in seen and space.fits(size) and space.takes(size):
            seen.append(dict(size))
            yield size


def filled(space: SizeSpace, drawn: random.Random, last_from: float, *, odd: bool = False) -> Size:
    """Every dimension uniform in its logarithm, in random order; the last one from `last_from` times what still
    fits."""
    size = dict(space.low)
    names = drawn.sample(list(size), len(size))
    names.sort(key=space.matters)  # dimensions without a cost first; the last one uses up the allowed cost
    for name in names:
        most = space.largest(size, name)
        last = name == names[-1]
        size[name] = space.drawn(name, last_from * most if last else 0, most, drawn, odd=odd and space.matters(name))
    return size


def any_size(space: SizeSpace, drawn: random.Random) -> Size | None:
    return filled(space, drawn, 0)


def odd(space: SizeSpace, drawn: random.Random) -> Size | None:
    """Odd multiples in each dimension."""
    return filled(space, drawn, 0.3, odd=True)


def largest(space: SizeSpace, drawn: random.Random) -> Size | None:
    """Near the greatest cost; the nearest of several if the dimensions end before it."""
    best = None
    for _ in range(8):
        size = filled(space, drawn, NEAR)
        if best is None or space.share(size) > space.share(best):
            best = size
        if space.share(best) >= NEAR:
            break
    return best


def even_grid(space: SizeSpace, drawn: random.Random) -> Size | None:
    """More than two CTAs, an even number in x and in total."""
    size = filled(space, drawn, 0.1)
    grid = space.pair.launch(**size).grid_xyz if space.fits(size) else (1, 1, 1)
    ctas = math.prod(grid)
    return size if ctas > 2 and ctas % 2 == 0 and (grid[0] == 1 or grid[0] % 2 == 0) else None


def long(space: SizeSpace, name: str, drawn: random.Random) -> Size | None:
    """One dimension as long as fits, an odd multiple; the others as short as possible."""
    size = dict(space.low)
    most = space.largest(size, name)
    return {**size, name: space.drawn(name, 0.9 * most, most, drawn, odd=True)}


def long_with_rest(space: SizeSpace, rest: int, drawn: random.Random) -> Size | None:
    """The only dimension almost as long as fits: its step times a number with the remainder `rest` by RESTS."""
    (name,) = space.low
    step, most = space.steps[name], space.largest(dict(space.low), name)
    times = drawn.randint(int(NEAR * most) // step, most // step)
    return {name: step * max(times - (times - rest) % RESTS, rest)}


def short(space: SizeSpace, name: str, drawn: random.Random) -> Size | None:
    """One dimension as short as possible, the others drawn."""
    size = filled(replace(space, high={**space.high, name: space.low[name]}), drawn, 0.3)
    return {**size, name: space.low[name]}


def powers_of_two(space: SizeSpace, drawn: random.Random) -> Size | None:
    """A bench size made smaller: powers of two; equal dimensions stay equal."""
    bench = drawn.choice(space.pair.bench_sizes)
    size = {name: power_of_two(value, space.steps[name]) for name, value in bench.items()}
    return shrunk(space, size, (), drawn)


def as_timed(space: SizeSpace, name: str, value: int, drawn: random.Random) -> Size | None:
    """One dimension with the value of a bench size; the others of that size made smaller until it fits."""
    bench = drawn.choice([size for size in space.pair.bench_sizes if size[name] == value])
    return shrunk(space, dict(bench), (name,), drawn)


def shrunk(space: SizeSpace, size: dict[str, int], kept: tuple[str, ...], drawn: random.Random) -> Size | None:
    """`size` with dimensions halved until it fits, equal ones together; those of `kept` stay, and those with few
    values as long as others can be halved. A dimension stays where the pair's restriction allows no less. None if
    it never fits."""
    equal: dict[int, list[str]] = {}
    for name, value in size.items():
        if name not in kept:
            equal.setdefault(value, []).append(name)
    while not space.fits(size):
        wide = [
            names
            for names in equal.values()
            if any(space.low[name] < size[name] and space.matters(name) for name in names)
        ]
        if not wide:
            return None
        ranges = [names for names in wide if any(space.high[name] >= FEW * space.low[name] for name in names)]
        names = drawn.choice(ranges or wide)
        halves = {
            name: max(size[name] // 2 // space.steps[name] * space.steps[name], space.low[name]) for name in names
        }
        if space.pair.restriction is not None and not space.takes({**size, **halves}):
            equal = {value: others for value, others in equal.items() if others != names}
        else:
            size |= halves
    return size


def with_many_ctas(pair: Pair) -> Iterator[Size]:
    """A size of the least cost with a few more CTAs than each of them has threads; nothing if it costs too much.

    Where the last CTA combines what all CTAs have stored, its threads then have more than one element each.
    """
    space = SizeSpace.of(pair).times(WITH_MANY_CTAS)
    with_most = (least_with_many_ctas(space, name) for name in space.steps)
    sizes = [size for size in with_most if size is not None and space.fits(size) and space.takes(size)]
    yield from sorted(sizes, key=space.share)[:1]


def least_with_many_ctas(space: SizeSpace, name: str) -> Size | None:
    """The size with the least value of one dimension at which a grid has more CTAs than each has threads, as far as
    more elements have more CTAs; the other dimensions are as small as possible. None if there is none that fits."""
    values = range(space.low[name], space.largest(dict(space.low), name) + 1, space.steps[name])
    with contextlib.suppress(Exception):  # the pair's own functions, at sizes that it does not promise
        least = bisect_left(values, True, key=lambda value: has_many_ctas(space.pair, {**space.low, name: value}))
        return {**space.low, name: values[least]} if least < len(values) else None
    return None


def has_many_ctas(pair: Pair, size: Size) -> bool:
    """Whether a launch has an eighth more CTAs than each of them has threads."""
    launch = pair.launch(**size)
    return 8 * math.prod(launch.grid_xyz) > 9 * math.prod(launch.block_xyz)
