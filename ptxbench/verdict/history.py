"""Runs over time -> series of one metric each, and where they step. This dates a change; it does not judge it.

Numbers of the emulator are exact, so each change is a step. Steps of GPU times are fitted (`verdict.steps`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite, log
from statistics import median, median_low

from ptxbench.discovery import select
from ptxbench.errors import UsageError
from ptxbench.metrics import BY_NAME, REFERENCE, Metric, choose, hint
from ptxbench.result import UNJUDGED, VERIFIED, Cell, RunDocument
from ptxbench.verdict.code_changes import Move, move
from ptxbench.verdict.comparable import ConditionDifference, cell_differences, run_differences
from ptxbench.verdict.rules import RULES
from ptxbench.verdict.steps import changes, steps

TIMED = ("ratio", "time")
COUNTED = tuple(name for name in RULES if name in BY_NAME)
"""The default metrics of series: on a GPU, and on the emulator."""

RELATIVE = ("ratio", "ptx_instructions_ratio")
"""Metrics that are always 1 for the reference, which therefore has no series of them."""


@dataclass(frozen=True)
class HistoryPoint:
    """One value of a series, with the data that explain a change from the one before."""

    run: RunDocument
    """The run, without its cells."""
    cell: Cell
    """The cell, with this variant only and without samples."""
    value: float


@dataclass(frozen=True)
class Shift:
    """A step: the levels before and after it, and the runs on both sides."""

    index: int
    """The index of the first value of the new level."""
    before: float
    after: float
    points: tuple[HistoryPoint, HistoryPoint]
    """The last value of the old level, and the first of the new one."""
    move: Move | None
    """How the variant's code changed between them."""
    differences: Sequence[ConditionDifference]
    """The other differences between the two."""


@dataclass(frozen=True)
class SeriesKey:
    """What a series is about: one metric of one variant on one device."""

    device: str
    pair: str
    size: tuple[tuple[str, int], ...]
    arch: str
    cache: str
    variant: str
    metric: Metric
    exact: bool
    """Whether the numbers have no noise: counts of the emulator and of the tools."""


@dataclass(frozen=True)
class Series:
    """The values of one key, in the order in which they were measured; at least one."""

    key: SeriesKey
    points: Sequence[HistoryPoint]

    @property
    def values(self) -> list[float]:
        return [point.value for point in self.points]

    @property
    def median(self) -> float:
        """For exact numbers an actual value, not the mean of two."""
        return (median_low if self.key.exact else median)(self.values)

    @property
    def shifts(self) -> list[Shift]:
        """The steps, in their order."""
        values = self.values
        exact = self.key.exact or min(values) <= 0
        indices = changes(values) if exact else steps([log(value) for value in values])
        ends = zip([0, *indices], indices, [*indices[1:], len(values)], strict=False)
        return [self.shift(start, index, end) for start, index, end in ends]

    def shift(self, start: int, index: int, end: int) -> Shift:
        before, after = self.points[index - 1], self.points[index]
        levels = median(self.values[start:index]), median(self.values[index:end])
        variant = self.key.variant
        code_move = move(before.cell.variants[variant], after.cell.variants[variant])
        of_cell = cell_differences(before.cell, after.cell, variant)
        differences = [*run_differences(before.run, after.run), *of_cell]
        return Shift(index, *levels, (before, after), code_move, differences)


@dataclass
class SeriesCollection:
    """All series; runs are added one by one."""

    metric: Metric | None = None
    """The requested metric; None for those that a gate judges."""
    runs: set[str] = field(default_factory=set)
    """The ids of the added runs."""
    pairs: set[str] = field(default_factory=set)
    unjudged: int = 0
    """Values that were skipped because of a label of their cell, such as THROTTLED."""
    points: dict[SeriesKey, list[HistoryPoint]] = field(default_factory=dict)

    def add(self, run: RunDocument) -> None:
        """Add the values of one run, which is later than all before. The same run is not added twice."""
        if run.run.id in self.runs:
            return
        self.runs.add(run.run.id)
        frame = dataclasses.replace(run, cells=(), processes=())
        for cell in run.cells:
            if cell.control:
                continue
            self.pairs.add(cell.pair)
            for variant, result in cell.variants.items():
                if result.status == VERIFIED:
                    self.add_variant(frame, cell, variant)

    def add_variant(self, run: RunDocument, cell: Cell, variant: str) -> None:
        emulated = run.device.is_emulator
        trimmed_cell = dataclasses.replace(cell, variants={variant: cell.variants[variant]}, rounds=())
        for metric in metrics_of(cell, self.metric):
            value = None if variant == REFERENCE and metric.name in RELATIVE else metric.of(cell, variant)
            exact = emulated or metric.counted_by is not None
            if value is None or not isfinite(value):
                continue
            if not exact and not UNJUDGED.isdisjoint(cell.labels):
                self.unjudged += 1
                continue
            size = tuple(cell.point.items())
            key = SeriesKey(run.device.name, cell.pair, size, cell.arch, cell.cache, variant, metric, exact)
            self.points.setdefault(key, []).append(HistoryPoint(run, trimmed_cell, value))

    def series(self, pairs: Sequence[str] = (), last: int | None = None) -> list[Series]:
        """The series of these pairs (names or globs; all by default), each with its last values (all by default).

        Sorted by device, pair and size; variants and metrics in the order of the runs. Raises UsageError for an
        unknown pair.
        """
        wanted = set(select(sorted(self.pairs), pairs, where=" in the saved runs"))
        chosen = [Series(key, points[-last:] if last else points) for key, points in self.points.items()
                  if key.pair in wanted]  # fmt: skip
        return sorted(chosen, key=lambda series: (series.key.device, series.key.pair, series.key.size))


def metrics_of(cell: Cell, requested: Metric | None) -> Sequence[Metric]:
    if requested:
        return [requested]
    return [BY_NAME[name] for name in (TIMED if cell.rounds else COUNTED)]


def choose_metric(name: str) -> Metric:
    """The metric of that name. Raises UsageError with a suggestion."""
    if name not in BY_NAME and not name.startswith("sass."):
        raise UsageError(f"Unknown metric '{name}'.{hint(name)}")
    return choose([name])[0]
