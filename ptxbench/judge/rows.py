"""Rows: which there are, what each compares, and those that need no statistics to judge.

A row is a pair, a variant, a size and a metric. One whose numbers have yet to be judged comes with its Evidence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, inf, isfinite, log
from statistics import median
from typing import Literal

from ptxbench import cycles, stats
from ptxbench.judge.code_changes import Moves, move, same_ptx
from ptxbench.judge.comparable import COUNTS, DIFFERS, OK, ConditionDifference, Kind, cell_differences
from ptxbench.judge.verdicts import (
    BROKEN,
    BROKEN_BOTH,
    FIXED,
    INCONCLUSIVE,
    MISSING,
    NEW,
    NO_REGRESSION,
    OTHER_TOOLS,
    SAME_CODE,
    judge_exact,
)
from ptxbench.judge.verdicts import NOT_COMPARABLE as NOT_ALIKE
from ptxbench.metrics import METRICS, REFERENCE, Metric
from ptxbench.result import BROKEN as BROKE
from ptxbench.result import LIBRARY, ORACLE_WEAK, VERIFIED, WRONG, Cell, Round, Run
from ptxbench.stats import Interval

Mode = Literal["ratio", "time", "counters"]

ONE_RUN = "has no value in the other run."

VERIFICATION = "verified"
"""The metric of a row that says, among counters, that there are none: its variant fails or is not there."""

COUNTERS = tuple(
    metric for metric in METRICS if metric.counted_by and metric.better != "neither"
)  # neither: a part of another count
"""The metrics that are compared exactly."""


@dataclass(frozen=True)
class Row:
    """One verdict, with what it rests on."""

    pair: str
    size: Mapping[str, int]
    arch: str
    cache: str
    variant: str
    metric: str
    verdict: str
    reason: str | None = None
    """A code, such as few_rounds, wide_interval, controls_spread or not_measured, or a label of the cell."""
    detail: str | None = None
    """The reason in words, where it is one of this row: how a kernel fails, what differs."""
    base: float | None = None
    head: float | None = None
    change: Interval | None = None
    """Head over base with its interval; a count's has no width."""
    change_in_cycles: Interval | None = None
    """The same of clock cycles; None where a clock is unknown, and of counts."""
    p: float | None = None
    """Of "no slower than half the budget", adjusted for the number of rows."""
    base_rounds: Sequence[float] = ()
    head_rounds: Sequence[float] = ()
    """The metric in each round, in its order."""
    rounds_needed: int | None = None
    """Of each run, to settle what is INCONCLUSIVE; None where it is settled or cannot be said."""
    moves: Moves = field(default_factory=Moves)
    notes: Sequence[str] = ()
    """What differs between the runs and does not forbid the comparison, such as `driver (note)`."""


@dataclass(frozen=True)
class RoundLogs:
    """Logarithms of the rounds, and what one more per cent costs in seconds."""

    base: Sequence[float]
    head: Sequence[float]
    scale_seconds: float
    """Seconds that correspond to 1 of the metric, in head."""
    labels: Sequence[str] = ()
    base_cycles: Sequence[float] = ()
    """The same logarithms of clock cycles, at one and the same clock for both sides; empty where the clock of either
    side is unknown."""
    head_cycles: Sequence[float] = ()

    @property
    def in_cycles(self) -> RoundLogs | None:
        """The evidence in clock cycles; None where there is none."""
        if not self.base_cycles:
            return None
        return dataclasses.replace(self, base=self.base_cycles, head=self.head_cycles)


Draft = tuple[Row, RoundLogs | None]


@dataclass(frozen=True)
class Match:
    """A cell of base and the same of head; at least one of them is there."""

    base: Cell | None
    head: Cell | None

    @property
    def either(self) -> Cell:
        cell = self.head or self.base
        assert cell
        return cell

    @property
    def variants(self) -> list[str]:
        """Of both sides, in head's order; libraries are no kernels of ours, and are not judged."""
        results = [each for cell in (self.head, self.base) if cell for each in cell.variants.items()]
        return list(dict.fromkeys(name for name, result in results if result.language != LIBRARY))


def match_cells(base: Run, head: Run) -> list[Match]:
    """The cells of both runs: by pair, size, architecture and cache mode, then what is left by pair and size."""

    def size(cell: Cell) -> tuple[object, ...]:
        return cell.pair, tuple(sorted(cell.point.items()))

    def full(cell: Cell) -> tuple[object, ...]:
        return *size(cell), cell.arch, cell.cache

    left = [cell for cell in base.cells if not cell.control]
    partners: dict[int, Cell] = {}
    heads = [cell for cell in head.cells if not cell.control]
    for key in (full, size):
        for i, cell in enumerate(heads):
            partner = next((each for each in left if key(each) == key(cell)), None)
            if i not in partners and partner:
                partners[i] = partner
                left = [each for each in left if each is not partner]
    return [Match(partners.get(i), cell) for i, cell in enumerate(heads)] + [Match(cell, None) for cell in left]


def drafts(match: Match, mode: Mode, differences: Sequence[ConditionDifference]) -> Iterator[Draft]:
    """The rows of one cell in both runs; `differences`: of the runs."""
    for variant in match.variants:
        if mode == "ratio" and variant == REFERENCE:
            continue
        needed = [variant, REFERENCE] if mode == "ratio" else [variant]
        cell = match.either
        row = Row(cell.pair, cell.point, cell.arch, cell.cache, variant, mode, "")
        if mode == "counters":
            row = dataclasses.replace(row, metric=VERIFICATION)
        if (judged := without_numbers(row, match, needed)) is not None:
            yield from ((each, None) for each in judged)
        elif match.base and match.head:
            moves = Moves(tuple((name, move(match.base.variants[name], match.head.variants[name])) for name in needed))
            row = dataclasses.replace(row, moves=moves)
            if mode == "counters":
                yield from ((each, None) for each in counted(row, match.base, match.head, differences))
            elif draft := timed(row, match.base, match.head, differences):
                yield draft


def without_numbers(row: Row, match: Match, needed: Sequence[str]) -> list[Row] | None:
    """The row where a side fails or is not there, none where neither side is; None where both are to be compared."""
    (base_state, base_why), (head_state, head_why) = (state(cell, needed) for cell in (match.base, match.head))
    verdict = {
        ("good", "good"): None,
        ("absent", "absent"): None,
        ("failed", "failed"): BROKEN_BOTH,
        ("failed", "good"): FIXED,
        ("good", "failed"): BROKEN,
        ("absent", "failed"): BROKEN,
        ("failed", "absent"): MISSING,
        ("good", "absent"): MISSING,
        ("absent", "good"): NEW,
    }[base_state, head_state]
    if verdict:
        return [dataclasses.replace(row, verdict=verdict, detail=head_why or base_why)]
    return None if base_state == "good" else []


def state(cell: Cell | None, needed: Sequence[str]) -> tuple[Literal["good", "failed", "absent"], str | None]:
    """Whether all these variants of the cell are verified, and if not why not."""
    found = [(name, cell.variants.get(name) if cell else None) for name in needed]
    for name, result in found:
        if result and result.status in (WRONG, BROKE):
            return "failed", f"{name} is {result.status}: {result.reason or 'no reason was recorded.'}"
    for name, result in found:
        if result is None:
            return "absent", None
        if result.status != VERIFIED:
            return "absent", f"{name} is {result.status}: {result.reason or 'no reason was recorded.'}"
    return "good", None


def apply(row: Row, kind: Kind, base: Cell, head: Cell, differences: Sequence[ConditionDifference]) -> Row:
    """The row with what differs: NOT-COMPARABLE, or notes."""
    variant = head.variants[row.variant]
    same = same_ptx(base.variants[row.variant].build, variant.build)
    unlike: list[ConditionDifference] = []
    notes = []
    for each in (*differences, *cell_differences(base, head, row.variant)):
        effect = each.effect(kind, variant.language)
        if each.name == "NVRTC" and kind in COUNTS and same:
            continue  # another compiler that made the same PTX
        if effect == DIFFERS:
            unlike.append(each)
        elif effect != OK:
            notes.append(f"{each.name} ({effect})")
    if unlike:
        reason = OTHER_TOOLS if all(each.condition.toolchain for each in unlike) else None
        return dataclasses.replace(row, verdict=NOT_ALIKE, reason=reason, detail="; ".join(map(str, unlike)))
    return dataclasses.replace(row, notes=notes)


# ---- counts


def counted(row: Row, base: Cell, head: Cell, differences: Sequence[ConditionDifference]) -> Iterator[Row]:
    """One row a counter that either side has."""
    for metric in COUNTERS:
        before, after = metric.of(base, row.variant), metric.of(head, row.variant)
        if metric.bounds and not all(is_narrow(metric, cell, row.variant) for cell in (base, head)):
            continue  # no number, or one that may be another: no claim
        if before is not None or after is not None:
            yield count_row(row, metric, base, head, differences)


NARROW = 1.04
"""How many times the least the most of a range may be, for a claim on it."""


def is_narrow(metric: Metric, cell: Cell, variant: str) -> bool:
    ends = metric.interval(cell, variant, cell.variants[variant]) if metric.interval else None
    return ends is not None and ends[1] <= NARROW * ends[0]


def overlapping(metric: Metric, base: Cell, head: Cell, variant: str) -> bool:
    """Whether the ranges of both sides have a number in common, so that nothing shows that they differ."""
    if not metric.bounds or not metric.interval:
        return False
    ends = [metric.interval(cell, variant, cell.variants[variant]) for cell in (base, head)]
    return all(ends) and max(each[0] for each in ends if each) <= min(each[1] for each in ends if each)


def count_row(row: Row, metric: Metric, base: Cell, head: Cell, differences: Sequence[ConditionDifference]) -> Row:
    before, after = metric.of(base, row.variant), metric.of(head, row.variant)
    assert metric.counted_by
    row = dataclasses.replace(row, metric=metric.name, base=before, head=after)
    row = apply(row, metric.counted_by, base, head, differences)
    if row.verdict:
        return row
    if before is None or after is None:
        verdict = NEW if before is None else MISSING
        return dataclasses.replace(row, verdict=verdict, reason="not_measured", detail=ONE_RUN)
    builds = base.variants[row.variant].build, head.variants[row.variant].build
    same = (row.moves.nothing or (metric.counted_by == "emulator" and same_ptx(*builds))) and base.launch == head.launch
    assert metric.better != "neither"
    verdict = SAME_CODE if same else judge_exact(before, after, metric.better).verdict
    if not same and before != after and overlapping(metric, base, head, row.variant):
        verdict = NO_REGRESSION
    return dataclasses.replace(row, verdict=verdict, change=exact_change(before, after))


def exact_change(before: float, after: float) -> Interval | None:
    """How many times the one the other is, known exactly; None where that is no number, as of what was none before."""
    ratio = after / before if before else inf
    return Interval(ratio, ratio, ratio) if isfinite(ratio) else None


# ---- times


def log_rounds(kind: Kind, rounds: Sequence[Round], variant: str) -> list[float]:
    """The metric's natural logarithm in each round: of the seconds, or of the ratio to the reference."""
    if kind == "time":
        return [log(ns / 1e9) for ns in stats.round_medians_ns(rounds, variant)]
    return stats.round_log_ratios(rounds, variant, REFERENCE)


def cycles_rounds(kind: Kind, rounds: Sequence[Round], variant: str) -> list[float]:
    """The same in clock cycles times 1000; nothing where a clock is unknown."""
    own = [one for one in rounds if variant in one.contrast]
    if kind == "time":
        return [log(each) for each in stats.round_medians_ns(cycles.by_block(own), variant)]
    return stats.round_log_ratios(cycles.by_kernel(own), variant, REFERENCE)


def at_one_clock(kind: Kind, seconds: Sequence[float], *sides: Sequence[float]) -> tuple[list[float], ...]:
    """Cycles of both sides as seconds at the clock of the first, whose `seconds` are known; nothing of one without."""
    if not all(sides):
        return ([], [])
    shift = median(sides[0]) - median(seconds) if kind == "time" else 0.0
    return tuple([each - shift for each in side] for side in sides)


def timed(row: Row, base: Cell, head: Cell, differences: Sequence[ConditionDifference]) -> Draft | None:
    """The row of a ratio or a time, with its evidence where there is any; None of what neither run timed."""
    kind: Kind = "ratio" if row.metric == "ratio" else "time"
    before, after = (log_rounds(kind, cell.rounds, row.variant) for cell in (base, head))
    if not before and not after:
        return None
    if ORACLE_WEAK in (*base.labels, *head.labels):  # what may be wrong has no time
        return dataclasses.replace(row, verdict=INCONCLUSIVE, reason=ORACLE_WEAK), None
    row = dataclasses.replace(
        row,
        base=exp(median(before)) if before else None,
        head=exp(median(after)) if after else None,
        base_rounds=[exp(each) for each in before],
        head_rounds=[exp(each) for each in after],
    )
    row = apply(row, kind, base, head, differences)
    if row.verdict:
        return row, None
    if not before or not after:
        verdict = MISSING if before else NEW
        return dataclasses.replace(row, verdict=verdict, reason="not_measured", detail=ONE_RUN), None
    scale = 1.0 if kind == "time" else (stats.median_ns(head.rounds, REFERENCE) or 0.0) / 1e9
    counted = [cycles_rounds(kind, cell.rounds, row.variant) for cell in (base, head)]
    at_clock = at_one_clock(kind, before, *counted)
    return row, RoundLogs(before, after, scale, sorted({*base.labels, *head.labels}), *at_clock)
