"""The gate: it compares a run with its baseline and limits, and gives judged rows and an exit status. Prints nothing.

The rows come from the code of `compare`. This module adds which of them count (RULES, policies, waivers), the limits
that need no baseline, and the exit status (docs/ci.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ptxbench.exit_status import PRECEDENCE, ExitStatus
from ptxbench.judge.canary import CONTROL_OFF
from ptxbench.judge.causes import explain
from ptxbench.judge.code_changes import Moves, move
from ptxbench.judge.comparable import run_differences
from ptxbench.judge.comparison import Comparison, is_timed, judge_runs
from ptxbench.judge.config import GateConfig, Waiver
from ptxbench.judge.limits import MAX_RATIO, MIN_SPEEDUP, counter_limits, ratio_limits, row_rule, rule_for
from ptxbench.judge.problems import (
    Problem,
    idle_rules,
    not_measured,
    nothing_judged,
    require_toolchain,
    standing_in_the_way,
)
from ptxbench.judge.rows import VERIFICATION, Match, Mode, Row, match_cells, without_numbers
from ptxbench.judge.rules import RULES, code_rows, held, opcode_row
from ptxbench.judge.verdicts import (
    BROKEN,
    BROKEN_BOTH,
    CHANGED,
    FIXED,
    IMPROVED,
    INCONCLUSIVE,
    MISSING,
    NEW,
    NO_REGRESSION,
    NOT_COMPARABLE,
    NOT_MEASURABLE,
    OTHER_TOOLS,
    REFERENCE_CHANGED,
    REGRESSED,
    SAME_CODE,
    WAIVED,
)
from ptxbench.result import BIASED, VERIFIED, Run

ORDER = (BROKEN, REGRESSED, MISSING, BROKEN_BOTH, NOT_MEASURABLE, INCONCLUSIVE, NOT_COMPARABLE, CHANGED,
         REFERENCE_CHANGED, WAIVED, FIXED, IMPROVED, NEW, NO_REGRESSION, SAME_CODE)  # fmt: skip
"""Verdicts of a gate, in the order in which rows are shown."""

JUDGED = frozenset({BROKEN, REGRESSED, REFERENCE_CHANGED, IMPROVED, NO_REGRESSION, SAME_CODE})
"""Verdicts that say something of the numbers."""


@dataclass(frozen=True)
class Judged:
    """A row and what it means for the gate."""

    row: Row
    exit_status: ExitStatus = ExitStatus.GOOD
    """What it makes the exit status."""
    warns: bool = False
    """It is told, and fails nothing."""
    limit: bool = False
    """Held against a limit of the config: `row.base` is the limit."""
    waiver: Waiver | None = None
    explanation: Sequence[str] = ()
    """Counts that changed with it: `registers 22 -> 40`."""

    @property
    def outcome(self) -> str:
        return "FAIL" if self.exit_status else "warn" if self.warns else "pass"


@dataclass(frozen=True)
class Gate:
    """Every row of a gate, what fails first."""

    head: Run
    base: Run | None
    config: GateConfig
    modes: Sequence[Mode]
    rows: Sequence[Judged]
    problems: Sequence[Problem]
    comparisons: Sequence[Comparison]
    unused: Sequence[Waiver]
    """Waivers that nothing needed."""
    confirmed_by: Sequence[Run] = ()
    """Runs that measured some of head's cells once more; their rounds are among head's."""

    @property
    def exit_status(self) -> ExitStatus:
        """The exit status."""
        statuses = {each.exit_status for each in self.rows} | {each.exit_status for each in self.problems}
        return next(status for status in PRECEDENCE if status in statuses or status == ExitStatus.GOOD)

    @property
    def failing(self) -> list[Judged]:
        return [each for each in self.rows if each.exit_status]

    @property
    def warning(self) -> list[Judged]:
        return [each for each in self.rows if each.warns and not each.exit_status]

    @property
    def counts(self) -> dict[str, int]:
        verdicts = [each.row.verdict for each in self.rows]
        return {verdict: verdicts.count(verdict) for verdict in ORDER if verdict in verdicts}


def gate(head: Run, base: Run | None, config: GateConfig) -> Gate:
    """Judge `head`; without a base by its verification and the limits alone.

    Raises UsageError where head was built with other tools than the config insists on.
    """
    modes = config.modes or (("ratio", "counters") if is_timed(head) else ("counters",))
    if "counters" in modes:
        require_toolchain(head, config)
    before = base or dataclasses.replace(head, cells=())
    matches = match_cells(before, head)
    problems = [*standing_in_the_way(head, base, config, modes), *idle_rules(config, matches)]
    found = [Judged(row) for match in matches for row in verification(match)]
    comparisons = []
    for mode in modes:
        if mode != "counters" and not is_timed(head):
            continue
        if base:
            comparison = judge_runs(base, head, mode, rule_for(config, mode), row_rule(config, mode))
            comparisons.append(comparison)
            found += [Judged(row) for row in compared(comparison)]
        if base and mode == "counters":
            found += [Judged(row) for match in matches for row in of_code(match, base, head)]
        if mode == "ratio":
            found += [Judged(row, limit=True) for row in ratio_limits(head, config)]
        if mode == "counters":
            found += [Judged(row, limit=True) for row in counter_limits(head, config)]
    rows = [settle(measurable(each), config) for each in found]
    rows = [dataclasses.replace(each, explanation=explain(each.row, matches)) for each in rows]
    if not any(counts_as_judged(each, base, modes) for each in rows):
        problems.append(Problem("Nothing was judged.", nothing_judged(head, base)))
    else:
        given = {mode_of(each) for each in rows if counts_as_judged(each, base, modes)}
        problems += not_measured(given, head, base, config)
    used = [each.waiver for each in rows]
    unused = [each for each in config.waivers if each not in used]
    return Gate(head, base, config, modes, in_order(rows), problems, comparisons, unused)


def in_order(rows: Sequence[Judged]) -> list[Judged]:
    """The rows, what fails first."""
    return sorted(rows, key=lambda each: (not each.exit_status, not each.warns, ORDER.index(each.row.verdict)))


def counts_as_judged(judged: Judged, base: Run | None, modes: Sequence[Mode]) -> bool:
    """Whether a row says something of what was asked: of a first run the verification is all there is to ask."""
    row = judged.row
    if row.metric == VERIFICATION:
        return base is None and "counters" in modes and row.verdict in (NEW, BROKEN)
    return row.verdict in JUDGED or judged.waiver is not None


def mode_of(judged: Judged) -> Mode:
    metric = judged.row.metric
    return "time" if metric == "time" else "ratio" if metric in ("ratio", MAX_RATIO, MIN_SPEEDUP) else "counters"


# ---- rows


def verification(match: Match) -> Iterator[Row]:
    """One row a variant: whether it is right, on both sides."""
    for variant in match.variants:
        cell = match.either
        row = Row(cell.pair, cell.point, cell.arch, cell.cache, variant, VERIFICATION, NO_REGRESSION)
        rows = without_numbers(row, match, [variant])
        yield from [row] if rows is None else rows


def compared(comparison: Comparison) -> Iterator[Row]:
    """The rows of a comparison that the gate judges; those of variants that fail are told by their verification."""
    for row in comparison.rows:
        one_sided = row.verdict in (BROKEN, FIXED, BROKEN_BOTH, NEW, MISSING) and row.reason != "not_measured"
        if one_sided or (comparison.mode == "counters" and row.metric not in RULES):
            continue
        yield held(row) if comparison.mode == "counters" else row


def of_code(match: Match, base: Run, head: Run) -> Iterator[Row]:
    """The rows that the machine code alone tells, of variants verified on both sides."""
    if match.base is None or match.head is None:
        return
    cell = match.head
    for variant in match.variants:
        sides = match.base.variants.get(variant), cell.variants.get(variant)
        if sides[0] and sides[1] and sides[0].status == sides[1].status == VERIFIED:
            moves = Moves(((variant, move(sides[0], sides[1])),))
            row = Row(cell.pair, cell.point, cell.arch, cell.cache, variant, "", "", moves=moves)
            differences = run_differences(base, head)
            yield from code_rows(row, match.base, cell, differences)
            if changed := opcode_row(row, match.base, cell, differences):
                yield changed


def measurable(judged: Judged) -> Judged:
    """Rows of runs whose controls say that nothing can be measured."""
    row = judged.row
    if row.verdict == INCONCLUSIVE and row.reason in (BIASED, CONTROL_OFF, "controls_spread"):
        return dataclasses.replace(judged, row=dataclasses.replace(row, verdict=NOT_MEASURABLE))
    return judged


# ---- what a verdict means for the exit status


def settle(judged: Judged, config: GateConfig) -> Judged:
    """The row with its code, by policies and waivers."""
    row = judged.row
    if row.verdict in (REGRESSED, MISSING) and (waiver := waiver_of(row, config)):
        row = dataclasses.replace(row, verdict=WAIVED, detail=f"{waiver.reason} Until {waiver.until}.")
        return dataclasses.replace(judged, row=row, waiver=waiver)
    if row.verdict == REGRESSED:
        rule = RULES.get(row.metric)
        advice = any(each.endswith("(advisory)") for each in row.notes)
        fails = not (advice or (rule and not rule.fails))
        status = ExitStatus.REGRESSION if fails else ExitStatus.GOOD
        return dataclasses.replace(judged, exit_status=status, warns=not fails)
    if row.verdict == REFERENCE_CHANGED:
        return dataclasses.replace(judged, warns=True)
    # what the kernels or the way they were run made unlike may be worse: only other tools may be let pass
    unlike = config.not_comparable if row.reason == OTHER_TOOLS else "fail"
    policies = {MISSING: config.missing, NOT_COMPARABLE: unlike, INCONCLUSIVE: config.inconclusive, CHANGED: "warn"}
    if row.verdict == BROKEN:
        return dataclasses.replace(judged, exit_status=ExitStatus.WRONG_KERNEL)
    if row.verdict in (BROKEN_BOTH, NOT_MEASURABLE) or policies.get(row.verdict) == "fail":
        return dataclasses.replace(judged, exit_status=ExitStatus.NO_VERDICT)
    return dataclasses.replace(judged, warns=row.verdict in policies)


def waiver_of(row: Row, config: GateConfig) -> Waiver | None:
    """The waiver that covers a row; one with a greatest change covers no greater, and none that nobody knows."""
    for each in config.waivers:
        if not each.covers(row.pair, row.variant, row.metric):
            continue
        if each.max is None or (row.change and 1 - each.max <= row.change.value <= 1 + each.max):
            return each
    return None
