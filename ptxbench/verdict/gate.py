"""The gate: it compares a run with its baseline and limits, and gives judged rows and an exit status. Prints nothing.

The rows come from the code of `compare`. This module adds which of them count (RULES, policies, waivers), the limits
that need no baseline, and the exit status (docs/ci.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ptxbench.exit_status import PRECEDENCE, ExitStatus
from ptxbench.result import BIASED, MUST_FAIL, VERIFIED, RunDocument
from ptxbench.verdict.causes import explain
from ptxbench.verdict.code_changes import Moves, move
from ptxbench.verdict.comparable import run_differences
from ptxbench.verdict.comparison import Comparison, is_timed, judge_runs
from ptxbench.verdict.config import GateConfig, Waiver
from ptxbench.verdict.limits import MAX_RATIO, MIN_SPEEDUP, counter_limits, ratio_limits, row_rule, rule_for
from ptxbench.verdict.problems import (
    Problem,
    not_measured,
    nothing_judged,
    require_toolchain,
    run_problems,
    unmatched_rules,
)
from ptxbench.verdict.rows import VERIFICATION, CellMatch, Mode, Row, match_cells, without_numbers
from ptxbench.verdict.rules import RULES, code_rows, opcode_row, within_allowance
from ptxbench.verdict.run_control import CONTROL_OFF
from ptxbench.verdict.verdicts import (
    BROKEN,
    BROKEN_BOTH,
    CHANGED,
    FIXED,
    GATE_ORDER,
    INCONCLUSIVE,
    JUDGED,
    MISSING,
    NEW,
    NO_REGRESSION,
    NOT_COMPARABLE,
    NOT_MEASURABLE,
    OTHER_COUNTS,
    OTHER_TOOLS,
    REFERENCE_CHANGED,
    REGRESSED,
    WAIVED,
)


@dataclass(frozen=True)
class JudgedRow:
    """A row and what it means for the gate."""

    row: Row
    exit_status: ExitStatus = ExitStatus.GOOD
    """The exit status that this row requires."""
    warns: bool = False
    """The row is reported but does not fail the gate."""
    limit: bool = False
    """Compared with a limit of the config: `row.base` is the limit."""
    waiver: Waiver | None = None
    explanation: Sequence[str] = ()
    """Counts that changed with it: `registers 22 -> 40`."""

    @property
    def outcome(self) -> str:
        return "FAIL" if self.exit_status else "warn" if self.warns else "pass"


@dataclass(frozen=True)
class Gate:
    """Every row of a gate; failing rows come first."""

    head: RunDocument
    base: RunDocument | None
    config: GateConfig
    modes: Sequence[Mode]
    rows: Sequence[JudgedRow]
    problems: Sequence[Problem]
    comparisons: Sequence[Comparison]
    unused: Sequence[Waiver]
    """Waivers that no row needed."""
    confirmed_by: Sequence[RunDocument] = ()
    """Runs that measured some of head's cells again; their rounds are included in head's."""

    @property
    def exit_status(self) -> ExitStatus:
        """The exit status over all rows and problems, by PRECEDENCE."""
        statuses = {row.exit_status for row in self.rows} | {problem.exit_status for problem in self.problems}
        return next(status for status in PRECEDENCE if status in statuses or status == ExitStatus.GOOD)

    @property
    def failing(self) -> list[JudgedRow]:
        return [row for row in self.rows if row.exit_status]

    @property
    def warning(self) -> list[JudgedRow]:
        return [row for row in self.rows if row.warns and not row.exit_status]

    @property
    def counts(self) -> dict[str, int]:
        verdicts = [row.row.verdict for row in self.rows]
        return {verdict: verdicts.count(verdict) for verdict in GATE_ORDER if verdict in verdicts}


def gate(head: RunDocument, base: RunDocument | None, config: GateConfig) -> Gate:
    """Judge `head`; without a base only by its verification and the limits.

    Raises UsageError if head was not built with the tools that the config requires.
    """
    modes = config.modes or (("ratio", "counters") if is_timed(head) else ("counters",))
    if "counters" in modes:
        require_toolchain(head, config)
    base_or_empty = base or dataclasses.replace(head, cells=())
    matches = match_cells(base_or_empty, head)
    problems = [*run_problems(head, base, config, modes), *unmatched_rules(config, matches)]
    judged_rows = [JudgedRow(row) for match in matches for row in verification(match)]
    comparisons = []
    for mode in modes:
        if mode != "counters" and not is_timed(head):
            continue
        if base:
            comparison = judge_runs(base, head, mode, rule_for(config, mode), row_rule(config, mode))
            comparisons.append(comparison)
            judged_rows += [JudgedRow(row) for row in compared(comparison)]
        if base and mode == "counters":
            judged_rows += [JudgedRow(row) for match in matches for row in of_code(match, base, head)]
        if mode == "ratio":
            judged_rows += [JudgedRow(row, limit=True) for row in ratio_limits(head, config)]
        if mode == "counters":
            judged_rows += [JudgedRow(row, limit=True) for row in counter_limits(head, config)]
    rows = [with_exit_status(check_measurable(judged), config) for judged in judged_rows]
    rows = [dataclasses.replace(judged, explanation=explain(judged.row, matches)) for judged in rows]
    if not any(counts_as_judged(judged, base, modes) for judged in rows):
        problems.append(Problem("No row was judged.", nothing_judged(head, base, config)))
    else:
        judged_modes = {mode_of(judged) for judged in rows if counts_as_judged(judged, base, modes)}
        problems += not_measured(judged_modes, head, base, config)
    used = [judged.waiver for judged in rows]
    unused = [waiver for waiver in config.waivers if waiver not in used]
    return Gate(head, base, config, modes, in_order(rows), problems, comparisons, unused)


def in_order(rows: Sequence[JudgedRow]) -> list[JudgedRow]:
    """The rows; failing ones come first."""
    return sorted(rows, key=lambda row: (not row.exit_status, not row.warns, GATE_ORDER.index(row.row.verdict)))


def counts_as_judged(judged: JudgedRow, base: RunDocument | None, modes: Sequence[Mode]) -> bool:
    """Whether a row counts as judged in these modes. In a first run only the verification can be judged."""
    row = judged.row
    if row.metric == VERIFICATION:
        return base is None and "counters" in modes and row.verdict in (NEW, BROKEN)
    return row.verdict in JUDGED or judged.waiver is not None


def mode_of(judged: JudgedRow) -> Mode:
    metric = judged.row.metric
    return "time" if metric == "time" else "ratio" if metric in ("ratio", MAX_RATIO, MIN_SPEEDUP) else "counters"


# ---- rows


def verification(match: CellMatch) -> Iterator[Row]:
    """One row for each variant: whether it is right, on both sides."""
    for variant in match.variants:
        cell = match.either
        row = Row(cell.pair, cell.point, cell.arch, cell.cache, variant, VERIFICATION, NO_REGRESSION)
        rows = without_numbers(row, match, [variant])
        yield from rows or ([row] if rows is None or must_fail(match, variant) else [])


def must_fail(match: CellMatch, variant: str) -> bool:
    """Whether the variant is wrong as expected on both sides."""
    results = [cell.variants.get(variant) if cell else None for cell in (match.base, match.head)]
    return all(result is not None and result.status == MUST_FAIL for result in results)


def compared(comparison: Comparison) -> Iterator[Row]:
    """The rows of a comparison that the gate judges. Variants that fail are reported by their verification row
    instead."""
    for row in comparison.rows:
        one_sided = row.verdict in (BROKEN, FIXED, BROKEN_BOTH, NEW, MISSING) and row.reason != "not_measured"
        if one_sided or (comparison.mode == "counters" and row.metric not in RULES):
            continue
        yield within_allowance(row) if comparison.mode == "counters" else row


def of_code(match: CellMatch, base: RunDocument, head: RunDocument) -> Iterator[Row]:
    """The rows that need only the machine code, for variants verified on both sides."""
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


def check_measurable(judged: JudgedRow) -> JudgedRow:
    """The row; NOT-MEASURABLE if the controls show that the runs cannot measure it."""
    row = judged.row
    if row.verdict == INCONCLUSIVE and row.reason in (BIASED, CONTROL_OFF, "controls_spread"):
        return dataclasses.replace(judged, row=dataclasses.replace(row, verdict=NOT_MEASURABLE))
    return judged


# ---- what a verdict means for the exit status


def with_exit_status(judged: JudgedRow, config: GateConfig) -> JudgedRow:
    """The row with its exit status, by policies and waivers."""
    row = judged.row
    if row.verdict in (REGRESSED, MISSING) and (waiver := waiver_of(row, config)):
        row = dataclasses.replace(row, verdict=WAIVED, detail=f"{waiver.reason} Until {waiver.until}.")
        return dataclasses.replace(judged, row=row, waiver=waiver)
    if row.verdict == REGRESSED:
        rule = RULES.get(row.metric)
        is_advisory = any(note.endswith("(advisory)") for note in row.notes)
        fails = not (is_advisory or (rule and not rule.fails))
        status = ExitStatus.REGRESSION if fails else ExitStatus.GOOD
        return dataclasses.replace(judged, exit_status=status, warns=not fails)
    if row.verdict == REFERENCE_CHANGED:
        return dataclasses.replace(judged, warns=True)
    # rows that other tools made incomparable may be let pass; other incomparable rows may hide a regression
    if_not_comparable = config.not_comparable if row.reason == OTHER_TOOLS else "fail"
    policies = {
        MISSING: config.missing,
        NOT_COMPARABLE: if_not_comparable,
        INCONCLUSIVE: config.inconclusive,
        CHANGED: "warn",
    }
    if row.verdict == BROKEN:
        return dataclasses.replace(judged, exit_status=ExitStatus.WRONG_KERNEL)
    if row.verdict in (BROKEN_BOTH, NOT_MEASURABLE) or policies.get(row.verdict) == "fail":
        return dataclasses.replace(judged, exit_status=ExitStatus.NO_VERDICT)
    return dataclasses.replace(judged, warns=row.verdict in policies or row.reason == OTHER_COUNTS)


def waiver_of(row: Row, config: GateConfig) -> Waiver | None:
    """The waiver that covers a row. A waiver with `max` covers only a known change up to it."""
    for waiver in config.waivers:
        if not waiver.covers(row.pair, row.variant, row.metric):
            continue
        if waiver.max is None or (row.change and 1 - waiver.max <= row.change.value <= 1 + waiver.max):
            return waiver
    return None
