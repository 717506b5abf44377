"""The points of a sweep: every value of one knob with every value of the other, and which launches each needs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from ptxbench.discovery import LoadedPair, Source
from ptxbench.discovery.knobs import with_knobs
from ptxbench.discovery.sweep_rules import is_size, is_whole
from ptxbench.discovery.validate import size_problems
from ptxbench.emulator.predefined import gpu
from ptxbench.errors import UsageError, suggestion
from ptxbench.knobs import ITSELF, Figure, Values
from ptxbench.pair import Pair, Size
from ptxbench.runner import PairPlan, memory
from ptxbench.runner.plan import without_repeats
from ptxbench.tune.pair_functions import call_pair_function

SweepKind = Literal["times", "counts"]

EMULATED_SMS = gpu("sm_90").multiprocessors
"""SMs over which the emulator distributes CTAs: as many as an H100 has."""

MOST_KNOBS = 2
"""A picture shows two knobs: one along the axis, one as its lines."""

MOST_POINTS = 1000


@dataclass(frozen=True)
class Point:
    """One point of a sweep. `at`: the values of the swept names. `parts`: the size of each possible launch, by name.

    `reason`: why a launch is impossible, the first if several are; None if all are possible.
    """

    at: Values
    knobs: Values
    parts: Mapping[str, Size]
    reason: str | None = None

    @property
    def possible(self) -> bool:
        """Whether it has any possible launch."""
        return bool(self.parts)


@dataclass(frozen=True)
class PairSweep:
    """A pair with its sweep: the swept names with their values, the size without them, the variants."""

    loaded: LoadedPair
    values: Mapping[str, Sequence[int]]
    size: Size
    sources: tuple[Source, ...]
    kind: SweepKind
    points: Sequence[Point] = field(default_factory=tuple)

    @property
    def figures(self) -> Sequence[Figure]:
        """The pair's figures that can be computed here."""
        sweep = self.loaded.pair.sweep
        return [figure for figure in sweep.figures if figure.of == self.kind] if sweep else []

    @property
    def first_part(self) -> str:
        return next(iter(parts_of(self.loaded.pair)))

    def pair_plans(self) -> tuple[PairPlan, ...]:
        """The launches as plans of a run: one plan per setting of the knobs, so that each build is checked once."""
        settings = without_repeats([point.knobs for point in self.points if point.parts])
        pair_plans = []
        for knobs in settings:
            sizes = [size for point in self.points if point.knobs == knobs for size in point.parts.values()]
            loaded = with_knobs(self.loaded, knobs)
            variants = {source.variant for source in self.sources}
            sources = tuple(source for source in loaded.sources if source.variant in variants)
            pair_plans.append(PairPlan(loaded, sources, without_repeats(sizes), knobs=knobs))
        return tuple(pair_plans)


def sweep_of(
    loaded: LoadedPair,
    sources: tuple[Source, ...],
    kind: SweepKind,
    *,
    values: Mapping[str, Sequence[int]],
    size: Values,
    sms: int = EMULATED_SMS,
) -> PairSweep:
    """The sweep of `values` by name, else of the pair's declaration. `size`: fixed dimensions of every point.

    Raises UsageError for names that the pair does not have, too many of them, or a size that it cannot have.
    """
    pair = loaded.pair
    swept_values = {canonical(pair, name): tuple(numbers) for name, numbers in values.items()}
    if not swept_values:
        swept_values = {name: tuple(dict.fromkeys(numbers)) for name, numbers in declared(loaded, sms).items()}
    if len(swept_values) > MOST_KNOBS:
        raise UsageError(f"{', '.join(swept_values)} are {len(swept_values)} knobs. Sweep at most {MOST_KNOBS}.")
    knobs = {knob.name for knob in pair.knobs}
    fixed_size = dict(base_size(loaded, kind, sms))
    for name in swept_values:
        require_known(loaded, name, [*knobs, *fixed_size])
    for name in size:
        require_known(loaded, canonical(pair, name), list(fixed_size))
        if canonical(pair, name) in swept_values:
            raise UsageError(f"{name} is set both by --knob and by --size. Set it once.")
    fixed_size |= {canonical(pair, name): value for name, value in size.items()}
    if (count := math.prod(map(len, swept_values.values()))) > MOST_POINTS:
        raise UsageError(f"{' and '.join(swept_values)} make {count:,} points. Sweep at most {MOST_POINTS:,}.")
    swept = PairSweep(loaded, swept_values, fixed_size, sources, kind)
    points = tuple(points_of(swept, knobs, {name for name in swept_values if name in fixed_size}))
    return PairSweep(loaded, swept_values, fixed_size, sources, kind, points)


def canonical(pair: Pair, name: str) -> str:
    """The name of a dimension that has the alias `name`."""
    return pair.sweep.aliases.get(name, name) if pair.sweep else name


def require_known(loaded: LoadedPair, name: str, known: Sequence[str]) -> None:
    if name not in known:
        hint = suggestion(name, known) or f" It has {', '.join(known) or 'none'}."
        raise UsageError(f"'{loaded.name}' has no knob and no dimension '{name}'.{hint}")


def declared(loaded: LoadedPair, sms: int) -> Mapping[str, Sequence[int]]:
    """The values that the pair declares for a sweep. Raises UsageError if it declares none."""
    pair = loaded.pair
    if pair.sweep:
        pair_values: Mapping[str, Sequence[int]] = call_pair_function(
            loaded, "the sweep's values", pair.sweep.values, sms, problem_of=values_problem
        )
        return pair_values
    if not pair.knobs:
        if not (dimensions := ", ".join(pair.bench_sizes[0])):
            raise UsageError(f"'{loaded.name}' has no knobs and no dimensions to sweep.")
        raise UsageError(f"'{loaded.name}' declares no knobs. Sweep a dimension with --knob; it has {dimensions}.")
    return {knob.name: knob.values for knob in pair.knobs[:MOST_KNOBS]}


def values_problem(values: Any) -> str | None:
    """What is wrong with the values that a pair declares for a sweep; None if nothing is."""
    if isinstance(values, Mapping) and values:
        lists = values.values()
        if all(isinstance(numbers, Sequence) and numbers and all(map(is_whole, numbers)) for numbers in lists):
            return None
    return "Expected a dict of whole numbers to try, such as dict(BLOCK=(64, 128))."


def size_problem(size: Any) -> str | None:
    """What is wrong with a size that a function of a sweep returns; None if nothing is."""
    return None if is_size(size) else "Expected a dict of whole numbers, such as dict(n=1024)."


def base_size(loaded: LoadedPair, kind: SweepKind, sms: int) -> Size:
    """The fixed part of every point's size: that of the pair's sweep, else a bench size (on a GPU a middle one)."""
    pair = loaded.pair
    if pair.sweep:
        size: Size = (
            call_pair_function(loaded, "the sweep's size", pair.sweep.size, sms, problem_of=size_problem)
            if kind == "times"
            else pair.sweep.emulated
        )
        return size
    return pair.bench_sizes[len(pair.bench_sizes) // 2 if kind == "times" else 0]


def parts_of(pair: Pair) -> Mapping[str, Callable[..., Values]]:
    return (pair.sweep.parts if pair.sweep else {}) or {ITSELF: lambda **size: size}


def points_of(swept: PairSweep, knobs: set[str], dimensions: set[str]) -> Iterator[Point]:
    """Each point with the launches that the figures need; the last name varies fastest."""
    parts = parts_of(swept.loaded.pair)
    needed = {swept.first_part, *(name for figure in swept.figures for name in figure.needs)}
    for values in itertools.product(*swept.values.values()):
        at = dict(zip(swept.values, values, strict=True))
        point_knobs = {name: value for name, value in at.items() if name in knobs}
        size = {**swept.size, **{name: value for name, value in at.items() if name in dimensions}}
        pair = swept.loaded.pair.with_knobs(point_knobs)
        launches, reasons = {}, []
        for name, part in parts.items():
            if name in needed:
                with_size = partial(part, **size)
                launch = dict(
                    call_pair_function(swept.loaded, f"the part '{name}'", with_size, problem_of=size_problem)
                )
                if reason := why_not(swept.loaded, pair, launch):
                    reasons.append(reason)
                else:
                    launches[name] = launch
        yield Point(at, point_knobs, launches, reasons[0] if reasons else None)


def why_not(loaded: LoadedPair, pair: Pair, size: Size) -> str | None:
    """Why `pair`, which is that of `loaded` with changed knobs, has no launch of that size; None if it has one."""
    if min(size.values(), default=0) < 0:
        return "No dimension can be below 0."
    if pair.restriction is not None and (
        reason := call_pair_function(loaded, "restriction", partial(pair.restriction, **size), part=("restriction",))
    ):
        return str(reason)
    for problem in size_problems(pair, size):
        return problem.sentence
    return memory.host_lacks(pair, size)
