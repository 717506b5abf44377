"""The figures of a sweep: each at every point, the best point, and the points statistically tied with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, log, sqrt
from statistics import mean, stdev
from typing import Any, Literal

import numpy as np

from ptxbench import stats
from ptxbench.errors import UsageError
from ptxbench.knobs import Figure, SweepPart, Values
from ptxbench.metrics import BY_NAME, Metric, choose, hint
from ptxbench.result import BROKEN, UNJUDGED, VERIFIED, Cell, VariantResult
from ptxbench.stats import Interval
from ptxbench.tune.pair_functions import call_pair_function
from ptxbench.tune.points import PairSweep, Point
from ptxbench.tune.sweep import LaunchKey, launch_key

ALPHA = 1 - stats.LEVEL

FEWEST_ROUNDS = 3
"""From this number of rounds on, the spread between rounds gives an interval."""

DEFAULT = {"times": "time", "counts": "ptx_warp_instructions"}
"""The metric of a pair that declares no figures."""


@dataclass(frozen=True)
class Quantity:
    """The quantity of a curve."""

    name: str
    unit: str
    better: Literal["lower", "higher", "neither"]
    description: str
    source: Figure | Metric


@dataclass(frozen=True)
class Reading:
    """One quantity of one variant at one point. `rounds`: its value in each round with one, by number."""

    interval: Interval
    rounds: Mapping[int, float] = field(default_factory=dict)

    @property
    def value(self) -> float:
        return self.interval.value

    @property
    def bare(self) -> bool:
        """Whether there is no interval: for a count, or too few rounds."""
        return self.interval.low == self.interval.high


@dataclass(frozen=True)
class Best:
    """The best point of one variant, by its index, and the points statistically tied with it."""

    index: int
    tied: Sequence[int]


@dataclass(frozen=True)
class Curves:
    """A sweep to be shown. `readings`: by the quantity's name and the variant, one per point or None."""

    swept: PairSweep
    variants: Sequence[str]
    quantities: Sequence[Quantity]
    readings: Mapping[tuple[str, str], Sequence[Reading | None]]
    statuses: Mapping[str, Sequence[VariantResult | None]]
    """By variant, the status of the point; the worst of its launches, None if there was none."""
    labels: Mapping[int, Sequence[str]]
    """Labels of a point that forbid a verdict."""

    @property
    def marks(self) -> Values:
        """The pair's own values of the swept names: its knobs' defaults, and the size of its own sweep."""
        pair, values = self.swept.loaded.pair, self.swept.values
        own_values = {**(self.swept.size if pair.sweep else {}), **{knob.name: knob.default for knob in pair.knobs}}
        return {name: own_values[name] for name in values if own_values.get(name) in values[name]}

    @property
    def main(self) -> Quantity:
        """The quantity that decides the best point."""
        return self.quantities[0]

    @property
    def points(self) -> Sequence[Point]:
        return self.swept.points

    def of(self, quantity: Quantity, variant: str) -> Sequence[Reading | None]:
        return self.readings[quantity.name, variant]

    def judged(self, quantity: Quantity, variant: str) -> dict[int, Reading]:
        """The points that have the quantity and no label that forbids a verdict, by index."""
        readings = self.of(quantity, variant)
        return {i: point_reading for i, point_reading in enumerate(readings) if point_reading and i not in self.labels}

    def best(self, quantity: Quantity, variant: str) -> Best | None:
        """The best point of a variant; None if no point is better than another, or none may be judged."""
        judged = self.judged(quantity, variant)
        if quantity.better == "neither" or not judged:
            return None
        sign = 1 if quantity.better == "lower" else -1
        index = min(judged, key=lambda i: (sign * judged[i].value, i))
        others = [i for i in judged if i != index]
        proven_worse = separated(judged[index], [judged[i] for i in others], sign)
        return Best(index, [i for i, worse in zip(others, proven_worse, strict=True) if not worse])

    def enough(self, quantity: Quantity, variant: str) -> tuple[float, int] | None:
        """The share of the best value that suffices, and the first point that reaches it; None without such a share."""
        share = quantity.source.enough if isinstance(quantity.source, Figure) else None
        best = self.best(quantity, variant)
        if share is None or best is None:
            return None
        judged = self.judged(quantity, variant)
        x = next(iter(self.swept.values))
        # of a value below 0, a share is more than the whole: only the best suffices
        good = [i for i in judged if i == best.index or judged[i].value >= share * judged[best.index].value]
        return share, min(good, key=lambda i: (self.points[i].at[x], i))

    def at_marks(self, quantity: Quantity, variant: str) -> int | None:
        """The best point of a variant among those at the marked values; None without marks or values there."""
        sign = -1 if quantity.better == "higher" else 1
        marks = self.marks.items()
        judged = self.judged(quantity, variant).items()
        marked = {i: point_reading for i, point_reading in judged if marks and marks <= self.points[i].at.items()}
        return min(marked, key=lambda i: (sign * marked[i].value, i), default=None)


def separated(best: Reading, others: Sequence[Reading], sign: int) -> list[bool]:
    """Whether each is proven worse than the best: counts by any difference, times by their rounds, and other numbers
    with an interval, such as ratios, if theirs does not reach that of the best.

    Each round visited every point, so a round's difference is free of drift between rounds. Student's one-sided t on
    these differences, of logarithms if all are over 0; p values by Holm, because the best is compared with all.
    """
    if not best.rounds:
        least, greatest = best.interval.low, best.interval.high
        return [other.interval.low > greatest if sign > 0 else other.interval.high < least for other in others]
    probabilities, enough_rounds = [], []
    for other in others:
        common = sorted(best.rounds.keys() & other.rounds.keys())
        logs = all(values[r] > 0 for values in (best.rounds, other.rounds) for r in common)
        differences = [
            sign * (log(other.rounds[r] / best.rounds[r]) if logs else other.rounds[r] - best.rounds[r]) for r in common
        ]
        enough_rounds.append(len(differences) >= FEWEST_ROUNDS)
        probabilities.append(stats.paired_effect(differences).p if enough_rounds[-1] else 1.0)
    return [
        enough and p <= ALPHA
        for enough, p in zip(enough_rounds, stats.holm(probabilities) if others else [], strict=True)
    ]


# ---- from cells to readings


def curves(swept: PairSweep, cells: Sequence[Cell], metric: str | None = None) -> Curves:
    """The results of a sweep from its cells; `metric`: what decides the best, a figure of the pair or a metric.

    Raises UsageError for an unknown metric.
    """
    cells_by_key = {launch_key(cell): cell for cell in cells if not cell.control}
    variants = [source.variant for source in swept.sources]
    quantities = choose_quantities(swept, metric)
    cells_by_point = [cells_of(point, cells_by_key) for point in swept.points]
    readings = {
        (quantity.name, variant): [reading(quantity, swept, parts, variant) for parts in cells_by_point]
        for quantity in quantities
        for variant in variants
    }
    shown = [quantity for quantity in quantities if any(any(readings[quantity.name, name]) for name in variants)]
    labels = {
        i: sorted({label for cell in parts.values() for label in cell.labels} & UNJUDGED)
        for i, parts in enumerate(cells_by_point)
    }
    return Curves(
        swept,
        variants,
        shown or quantities[:1],
        readings,
        {name: [status(parts, name) for parts in cells_by_point] for name in variants},
        {i: point_labels for i, point_labels in labels.items() if point_labels},
    )


def choose_quantities(swept: PairSweep, metric: str | None) -> list[Quantity]:
    """The pair's figures, the chosen one first; one metric if the pair has none."""
    figures = [
        Quantity(figure.name, figure.unit, figure.better, figure.description, figure) for figure in swept.figures
    ]
    if metric is None:
        return figures or [quantity_of(choose([DEFAULT[swept.kind]])[0])]
    if chosen := [figure for figure in figures if figure.name == metric]:
        return chosen + [figure for figure in figures if figure.name != metric]
    names = [figure.name for figure in figures]
    if metric not in BY_NAME and not metric.startswith("sass."):
        raise UsageError(f"Unknown metric '{metric}'.{hint(metric, names)}")
    return [quantity_of(choose([metric])[0]), *figures]


def quantity_of(metric: Metric) -> Quantity:
    return Quantity(metric.name, metric.unit, metric.better, metric.description.rstrip("."), metric)


def cells_of(point: Point, cells_by_key: Mapping[LaunchKey, Cell]) -> dict[str, Cell]:
    """The existing cells of a point, by launch."""
    knobs = tuple(point.knobs.items())
    return {
        name: cells_by_key[knobs, tuple(size.items())]
        for name, size in point.parts.items()
        if (knobs, tuple(size.items())) in cells_by_key
    }


def status(parts: Mapping[str, Cell], variant: str) -> VariantResult | None:
    """The status of a variant at a point: its first launch that is not verified, else any."""
    results = [cell.variants[variant] for cell in parts.values() if variant in cell.variants]
    return next((result for result in results if result.status != VERIFIED), results[0] if results else None)


def unbuildable(result: VariantResult | None) -> bool:
    """Whether the tools refuse the kernel with these knobs: an impossible point, not a wrong kernel."""
    return result is not None and result.status == BROKEN and result.build is None


def reading(quantity: Quantity, swept: PairSweep, parts: Mapping[str, Cell], variant: str) -> Reading | None:
    """The quantity of one variant at one point; None if it does not exist."""
    source = quantity.source
    if isinstance(source, Metric):
        cell = parts.get(swept.first_part)
        return of_metric(source, cell, variant) if cell and variant in cell.variants else None
    if any(name not in parts or not verified(parts[name], variant) for name in source.needs):
        return None
    cells = [parts[name] for name in source.needs]
    if source.of == "counts":
        cell_parts = [part_of(cell, variant) for cell in cells]
        value = of_figure(source, swept, cell_parts) if all(part.counts for part in cell_parts) else None
        return None if value is None else Reading(Interval(value, value, value))
    return of_rounds(
        {number: of_figure(source, swept, round_parts) for number, round_parts in rounds_of(cells, variant).items()}
    )


def of_figure(figure: Figure, swept: PairSweep, parts: Sequence[SweepPart]) -> float | None:
    value: float | None = call_pair_function(
        swept.loaded, f"the figure '{figure.name}'", figure.formula, *parts, problem_of=figure_problem
    )
    return value


def figure_problem(value: Any) -> str | None:
    """What is wrong with the result of a figure's formula; None if nothing is."""
    is_number = isinstance(value, int | float | np.integer | np.floating)
    return None if value is None or (is_number and isfinite(value)) else "Expected a finite number, or None."


def verified(cell: Cell, variant: str) -> bool:
    return variant in cell.variants and cell.variants[variant].status == VERIFIED


def of_metric(metric: Metric, cell: Cell, variant: str) -> Reading | None:
    value = metric.of(cell, variant)
    if value is None:
        return None
    if metric.name == "time":
        return of_rounds({number: part.seconds for number, (part,) in rounds_of([cell], variant).items()})
    ends = metric.interval(cell, variant, cell.variants[variant]) if metric.interval else None
    low, high = ends or (value, value)
    return Reading(Interval(low, value, high))


def of_rounds(values: Mapping[int, float | None]) -> Reading | None:
    """A reading from its values in rounds: their mean, with Student's interval from FEWEST_ROUNDS on."""
    rounds = {number: value for number, value in values.items() if value is not None}
    if not rounds:
        return None
    samples = list(rounds.values())
    value, half = mean(samples), 0.0
    if len(samples) >= FEWEST_ROUNDS:
        half = stats.student_quantile(0.5 + stats.LEVEL / 2, len(samples) - 1) * stdev(samples) / sqrt(len(samples))
    return Reading(Interval(value - half, value, value + half), rounds)


def part_of(
    cell: Cell, variant: str, seconds: float | None = None, observed: Mapping[str, float] | None = None
) -> SweepPart:
    result = cell.variants[variant]
    seen = result.observed if observed is None else observed
    limits = cell.limits
    return SweepPart(
        cell.size,
        cell.work,
        seconds,
        seen or {},
        result.counts or {},
        bytes_per_s=limits.bytes_per_s if limits else None,
        flops_per_s=limits.f32 if limits else None,
    )


def rounds_of(cells: Sequence[Cell], variant: str) -> dict[int, list[SweepPart]]:
    """The parts of a point in each round that timed all of them, by its number."""
    timed: list[dict[int, SweepPart]] = []
    for cell in cells:
        parts_by_round: dict[int, SweepPart] = {}
        for number in sorted({contrast.round for contrast in cell.rounds}):
            rounds = [contrast for contrast in cell.rounds if contrast.round == number and variant in contrast.contrast]
            ns = stats.median_ns(rounds, variant)
            if ns is not None:
                seen = next((contrast.observed[variant] for contrast in rounds if variant in contrast.observed), {})
                parts_by_round[number] = part_of(cell, variant, ns / 1e9, seen)
        timed.append(parts_by_round)
    common = set.intersection(*(set(parts_by_round) for parts_by_round in timed)) if timed else set()
    return {number: [parts_by_round[number] for parts_by_round in timed] for number in sorted(common)}
