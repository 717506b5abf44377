"""Rows: which rows there are, what each compares, and the verdicts that need no statistics.

A row is a pair, a variant, a size and a metric. A row that must still be judged by its numbers has RoundLogs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, inf, isfinite, log
from statistics import median
from typing import Literal

from ptxbench import cycles, stats
from ptxbench.metrics import METRICS, REFERENCE, Metric
from ptxbench.result import BROKEN, LIBRARY, MUST_FAIL, ORACLE_WEAK, VERIFIED, WRONG, Cell, Round, RunDocument
from ptxbench.stats import Interval
from ptxbench.verdict import verdicts
from ptxbench.verdict.code_changes import Moves, move, same_ptx
from ptxbench.verdict.comparable import (
    COMPILER,
    COUNTS,
    DIFFERS,
    OK,
    ComparedKind,
    ConditionDifference,
    cell_differences,
)
from ptxbench.verdict.verdicts import BY_STATES, OTHER_COUNTS, OTHER_TOOLS, State, judge_exact

Mode = Literal["ratio", "time", "counters"]

ONE_RUN = "has no value in the other run."

VERIFICATION = "verified"
"""The metric of a row without counters, because its variant fails or is missing."""

COUNTERS = tuple(
    metric for metric in METRICS if metric.counted_by and metric.better != "neither"
)  # neither: a part of another count
"""The metrics that are compared exactly."""


@dataclass(frozen=True)
class Row:
    """One verdict, with its evidence."""

    pair: str
    size: Mapping[str, int]
    arch: str
    cache: str
    variant: str
    metric: str
    verdict: str
    reason: str | None = None
    """A name such as few_rounds, wide_interval, controls_spread or not_measured, or a label of the cell."""
    detail: str | None = None
    """The reason in words, if it is specific to this row: how a kernel fails, what differs."""
    base: float | None = None
    head: float | None = None
    change: Interval | None = None
    """Head over base with its interval; the interval of a count has no width."""
    change_in_cycles: Interval | None = None
    """The same in clock cycles; None if a clock is unknown, and for counts."""
    p: float | None = None
    """The p value of "no slower than half the budget", adjusted for the number of rows."""
    base_rounds: Sequence[float] = ()
    head_rounds: Sequence[float] = ()
    """The metric in each round, in its order."""
    rounds_needed: int | None = None
    """The rounds of each run that would decide an INCONCLUSIVE row; None if it is decided or cannot be estimated."""
    moves: Moves = field(default_factory=Moves)
    notes: Sequence[str] = ()
    """Differences between the runs that do not forbid the comparison, such as `driver (note)`."""


@dataclass(frozen=True, eq=False)
class RoundLogs:
    """The logarithm of the metric in each round of both runs. Two are equal only if they are the same object."""

    base: Sequence[float]
    head: Sequence[float]
    scale_seconds: float
    """Seconds in head for a value of 1: a ratio is multiplied by the time of the reference."""
    labels: Sequence[str] = ()
    base_cycles: Sequence[float] = ()
    """The same logarithms of clock cycles, at one and the same clock for both sides; empty if the clock of either
    side is unknown."""
    head_cycles: Sequence[float] = ()

    @property
    def in_cycles(self) -> RoundLogs | None:
        """The logs in clock cycles; None if there are none."""
        if not self.base_cycles:
            return None
        return dataclasses.replace(self, base=self.base_cycles, head=self.head_cycles)


UnjudgedRow = tuple[Row, RoundLogs | None]


@dataclass(frozen=True)
class CellMatch:
    """A cell of base and the same cell of head; at least one of them exists."""

    base: Cell | None
    head: Cell | None

    @property
    def either(self) -> Cell:
        cell = self.head or self.base
        assert cell
        return cell

    @property
    def variants(self) -> list[str]:
        """The variants of both sides, in head's order. Libraries are not kernels of the pair, and are not judged."""
        results = [item for cell in (self.head, self.base) if cell for item in cell.variants.items()]
        return list(dict.fromkeys(name for name, result in results if result.language != LIBRARY))


def match_cells(base: RunDocument, head: RunDocument) -> list[CellMatch]:
    """The cells of both runs, matched by pair, size, architecture and cache mode; the remaining ones by pair and size
    only."""

    def size(cell: Cell) -> tuple[object, ...]:
        return cell.pair, tuple(sorted(cell.point.items()))

    def full(cell: Cell) -> tuple[object, ...]:
        return *size(cell), cell.arch, cell.cache

    unmatched = [cell for cell in base.cells if not cell.control]
    partners: dict[int, Cell] = {}
    heads = [cell for cell in head.cells if not cell.control]
    for key in (full, size):
        for i, cell in enumerate(heads):
            partner = next((candidate for candidate in unmatched if key(candidate) == key(cell)), None)
            if i not in partners and partner:
                partners[i] = partner
                unmatched = [candidate for candidate in unmatched if candidate is not partner]
    return [CellMatch(partners.get(i), cell) for i, cell in enumerate(heads)] + [
        CellMatch(cell, None) for cell in unmatched
    ]


def unjudged_rows(match: CellMatch, mode: Mode, differences: Sequence[ConditionDifference]) -> Iterator[UnjudgedRow]:
    """The rows of one cell in both runs; `differences`: those of the runs."""
    for variant in match.variants:
        if mode == "ratio" and variant == REFERENCE:
            continue
        needed = [variant, REFERENCE] if mode == "ratio" else [variant]
        cell = match.either
        row = Row(cell.pair, cell.point, cell.arch, cell.cache, variant, mode, "")
        if mode == "counters":
            row = dataclasses.replace(row, metric=VERIFICATION)
        if (judged := without_numbers(row, match, needed)) is not None:
            yield from ((judged_row, None) for judged_row in judged)
        elif match.base and match.head:
            moves = Moves(tuple((name, move(match.base.variants[name], match.head.variants[name])) for name in needed))
            row = dataclasses.replace(row, moves=moves)
            if mode == "counters":
                yield from ((judged_row, None) for judged_row in counted(row, match.base, match.head, differences))
            elif draft := timed(row, match.base, match.head, differences):
                yield draft


def without_numbers(row: Row, match: CellMatch, needed: Sequence[str]) -> list[Row] | None:
    """The row if a side fails or is missing, no row if both are missing; None if both can be compared."""
    (base_state, base_why), (head_state, head_why) = (state(cell, needed) for cell in (match.base, match.head))
    verdict = BY_STATES[base_state][head_state]
    if verdict:
        return [dataclasses.replace(row, verdict=verdict, detail=head_why or base_why)]
    return None if base_state == "good" else []


def state(cell: Cell | None, needed: Sequence[str]) -> tuple[State, str | None]:
    """Whether all these variants of the cell are verified, and if not, why."""
    results = [(name, cell.variants.get(name) if cell else None) for name in needed]
    for name, result in results:
        if result and result.status in (WRONG, BROKEN):
            return "failed", f"{name} is {result.status}: {result.reason or 'no reason was recorded.'}"
    for name, result in results:
        if result and result.status == MUST_FAIL:
            return "must fail", f"{name} is {result.status}: {result.reason or 'no reason was recorded.'}"
        if result is None:
            return "absent", None
        if result.status != VERIFIED:
            return "absent", f"{name} is {result.status}: {result.reason or 'no reason was recorded.'}"
    return "good", None


def with_differences(
    row: Row, kind: ComparedKind, base: Cell, head: Cell, differences: Sequence[ConditionDifference]
) -> Row:
    """The row with the differences: NOT-COMPARABLE, or notes."""
    variant = head.variants[row.variant]
    has_same_ptx = same_ptx(base.variants[row.variant].build, variant.build)
    forbidding: list[ConditionDifference] = []
    notes = []
    for difference in (*differences, *cell_differences(base, head, row.variant)):
        effect = difference.effect(kind, variant.language)
        if difference.name in ("NVRTC", COMPILER.name) and kind in COUNTS and has_same_ptx:
            continue  # another compiler that made the same PTX
        if effect == DIFFERS:
            forbidding.append(difference)
        elif effect != OK:
            notes.append(f"{difference.name} ({effect})")
    if forbidding:
        reason = OTHER_TOOLS if all(unequal.condition.toolchain for unequal in forbidding) else None
        detail = "; ".join(map(str, forbidding))
        return dataclasses.replace(row, verdict=verdicts.NOT_COMPARABLE, reason=reason, detail=detail)
    return dataclasses.replace(row, notes=notes)


# ---- counts


def counted(row: Row, base: Cell, head: Cell, differences: Sequence[ConditionDifference]) -> Iterator[Row]:
    """One row for each counter that a side has."""
    for metric in COUNTERS:
        before, after = metric.of(base, row.variant), metric.of(head, row.variant)
        if metric.bounds and not all(is_narrow(metric, cell, row.variant) for cell in (base, head)):
            continue  # an unknown or uncertain number supports no claim
        if before is not None or after is not None:
            yield count_row(row, metric, base, head, differences)


NARROW = 1.04
"""The greatest most / least of a range on which a claim may be based."""


def is_narrow(metric: Metric, cell: Cell, variant: str) -> bool:
    ends = metric.interval(cell, variant, cell.variants[variant]) if metric.interval else None
    return ends is not None and ends[1] <= NARROW * ends[0]


def overlapping(metric: Metric, base: Cell, head: Cell, variant: str) -> bool:
    """Whether the ranges of both sides overlap, so that no difference is proven."""
    if not metric.bounds or not metric.interval:
        return False
    ends = [metric.interval(cell, variant, cell.variants[variant]) for cell in (base, head)]
    return all(ends) and max(end[0] for end in ends if end) <= min(end[1] for end in ends if end)


def count_row(row: Row, metric: Metric, base: Cell, head: Cell, differences: Sequence[ConditionDifference]) -> Row:
    """The row with its values of a count, and the verdict on their difference."""
    before, after = metric.of(base, row.variant), metric.of(head, row.variant)
    assert metric.counted_by
    row = dataclasses.replace(row, metric=metric.name, base=before, head=after)
    row = with_differences(row, metric.counted_by, base, head, differences)
    if row.verdict:
        return row
    if before is None or after is None:
        verdict = verdicts.NEW if before is None else verdicts.MISSING
        return dataclasses.replace(row, verdict=verdict, reason="not_measured", detail=ONE_RUN)
    builds = base.variants[row.variant].build, head.variants[row.variant].build
    unchanged_counts = (row.moves.nothing or (metric.counted_by == "emulator" and same_ptx(*builds))) and (
        base.launch_of(row.variant) == head.launch_of(row.variant)
    )
    assert metric.better != "neither"
    verdict = verdicts.SAME_CODE if unchanged_counts else judge_exact(before, after, metric.better).verdict
    differs = before != after and not overlapping(metric, base, head, row.variant)
    if not unchanged_counts and before != after and not differs:
        verdict = verdicts.NO_REGRESSION
    contradicts = (
        unchanged_counts and differs and same_ptx(*builds)
    )  # other PTX of the same machine code may have other counts
    reason = OTHER_COUNTS if contradicts and (metric.counted_by == "emulator" or not differences) else None
    return dataclasses.replace(row, verdict=verdict, reason=reason, change=exact_change(before, after))


def exact_change(before: float, after: float) -> Interval | None:
    """The exact ratio of two counts; None if it is not a number, as when the first is 0."""
    ratio = after / before if before else inf
    return Interval(ratio, ratio, ratio) if isfinite(ratio) else None


# ---- times


def log_rounds(kind: ComparedKind, rounds: Sequence[Round], variant: str) -> list[float]:
    """The natural logarithm of the metric in each round: of the seconds, or of the ratio to the reference."""
    if kind == "time":
        return [log(ns / 1e9) for ns in stats.round_medians_ns(rounds, variant)]
    return stats.round_log_ratios(rounds, variant, REFERENCE)


def cycles_rounds(kind: ComparedKind, rounds: Sequence[Round], variant: str) -> list[float]:
    """The same logarithms, of clock cycles instead of seconds; empty if a clock is unknown."""
    rounds_of_variant = [timed_round for timed_round in rounds if variant in timed_round.contrast]
    if kind == "time":
        return [log(millicycles) for millicycles in stats.round_medians_ns(cycles.by_block(rounds_of_variant), variant)]
    return stats.round_log_ratios(cycles.by_kernel(rounds_of_variant), variant, REFERENCE)


def at_one_clock(kind: ComparedKind, seconds: Sequence[float], *sides: Sequence[float]) -> tuple[list[float], ...]:
    """The logarithms of cycles of both sides, for times moved to seconds at the clock of the first side; empty without
    cycles. `seconds`: the logarithms of the seconds of the first side."""
    if not all(sides):
        return ([], [])
    shift = median(sides[0]) - median(seconds) if kind == "time" else 0.0
    return tuple([value - shift for value in side] for side in sides)


def timed(row: Row, base: Cell, head: Cell, differences: Sequence[ConditionDifference]) -> UnjudgedRow | None:
    """The row of a ratio or a time, with its round logs if there are any; None if neither run timed it."""
    kind: ComparedKind = "ratio" if row.metric == "ratio" else "time"
    before, after = (log_rounds(kind, cell.rounds, row.variant) for cell in (base, head))
    if not before and not after:
        return None
    if ORACLE_WEAK in (*base.labels, *head.labels):  # possibly wrong results have no time
        return dataclasses.replace(row, verdict=verdicts.INCONCLUSIVE, reason=ORACLE_WEAK), None
    row = dataclasses.replace(
        row,
        base=exp(median(before)) if before else None,
        head=exp(median(after)) if after else None,
        base_rounds=[exp(value) for value in before],
        head_rounds=[exp(value) for value in after],
    )
    row = with_differences(row, kind, base, head, differences)
    if row.verdict:
        return row, None
    if not before or not after:
        verdict = verdicts.MISSING if before else verdicts.NEW
        return dataclasses.replace(row, verdict=verdict, reason="not_measured", detail=ONE_RUN), None
    scale = 1.0 if kind == "time" else (stats.median_ns(head.rounds, REFERENCE) or 0.0) / 1e9
    cycle_logs = [cycles_rounds(kind, cell.rounds, row.variant) for cell in (base, head)]
    at_clock = at_one_clock(kind, before, *cycle_logs)
    return row, RoundLogs(before, after, scale, sorted({*base.labels, *head.labels}), *at_clock)
