"""A comparison of two runs: every row with its verdict, the differences of the runs, and their controls."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, expm1, log
from statistics import fmean, median

import numpy as np

from ptxbench import cycles, stats
from ptxbench.errors import UsageError
from ptxbench.result import UNJUDGED, RunDocument
from ptxbench.stats import Effect, Interval
from ptxbench.verdict.comparable import ConditionDifference, run_differences
from ptxbench.verdict.rows import Mode, RoundLogs, Row, UnjudgedRow, match_cells, unjudged_rows
from ptxbench.verdict.run_control import untrusted_reason
from ptxbench.verdict.verdicts import (
    BETTER_OR_WORSE,
    INCONCLUSIVE,
    REFERENCE_CHANGED,
    REGRESSED,
    SAME_CODE,
    VERDICTS,
    RowJudgement,
    Rule,
    adjust,
    judge_effect,
)

FEWEST_CONTROLS = 5
"""The fewest rows of unchanged code that can show their common shift."""


@dataclass(frozen=True)
class Controls:
    """The changes of rows with unchanged code, which are only noise."""

    count: int
    shift: float
    """The median of their changes, as a logarithm."""
    spread: float
    """95 % of them are at most this far from the shift."""


@dataclass(frozen=True)
class Comparison:
    """Two runs, row by row; rows that need attention come first."""

    base: RunDocument
    head: RunDocument
    mode: Mode
    rule: Rule
    differences: Sequence[ConditionDifference]
    rows: Sequence[Row]
    controls: Controls | None = None
    """The controls of times and ratios, if there are at least FEWEST_CONTROLS rows of unchanged code."""

    @property
    def counts(self) -> dict[str, int]:
        """How many rows have each verdict, without verdicts that no row has."""
        counted = Counter(row.verdict for row in self.rows)
        return {verdict: counted[verdict] for verdict in VERDICTS if counted[verdict]}

    @property
    def geometric_mean(self) -> float | None:
        """The geometric mean of head over base, over all rows that were judged by times or ratios.

        No verdict depends on it.
        """
        changes = [log(row.change.value) for row in self.rows if row.change] if self.mode != "counters" else []
        return exp(fmean(changes)) if changes else None


def default_mode(base: RunDocument, head: RunDocument) -> Mode:
    """Ratios if both runs were timed, else counters."""
    return "ratio" if is_timed(base) and is_timed(head) else "counters"


def is_timed(run: RunDocument) -> bool:
    return any(cell.rounds for cell in run.cells)


def compare(base: RunDocument, head: RunDocument, mode: Mode | None = None, rule: Rule | None = None) -> Comparison:
    """Judge every row. Raises UsageError if times are requested and a run has none, and if there is no row."""
    mode, rule = mode or default_mode(base, head), rule or Rule()
    for run in (base, head):
        if mode != "counters" and not is_timed(run):
            message = "floors of a model, which are not times" if any(cell.model for cell in run.cells) else "no times"
            raise UsageError(f"Run {run.run.id} has {message}. Compare its counters: --metric counters.")
    comparison = judge_runs(base, head, mode, rule)
    if not comparison.rows:
        runs = f"{base.run.id} and {head.run.id}"
        raise UsageError(f"Runs {runs} have nothing to compare: no variant has a result in either.")
    return comparison


def judge_runs(
    base: RunDocument, head: RunDocument, mode: Mode, rule: Rule, rule_of: Callable[[Row], Rule] | None = None
) -> Comparison:
    """The comparison, also of runs without times or rows. `rule_of`: gives the rule of a row, if rows have their
    own."""
    steps = [run.calibration.get("timer_step_ns") or 0 for run in (base, head)]

    def floored(rule: Rule) -> Rule:
        return dataclasses.replace(rule, floor_seconds=max(rule.floor_seconds, 2e-9 * max(steps)))

    differences = run_differences(base, head)
    unjudged = [draft for match in match_cells(base, head) for draft in unjudged_rows(match, mode, differences)]
    rules = [floored(rule_of(row) if rule_of else rule) for row, _ in unjudged]
    rows, controls = judge_rows(unjudged, mode, rules, untrusted=untrusted_reason(base, head))
    order = list(VERDICTS)
    # Changes of times share a unit, so the greatest come first; counters stay in the order of their kernels.
    rows = sorted(rows, key=lambda row: (order.index(row.verdict), 0.0 if mode == "counters" else -size_of(row)))
    return Comparison(base, head, mode, floored(rule), differences, rows, controls)


def size_of(row: Row) -> float:
    return row.change.value if row.change else 0.0


def judge_rows(
    unjudged: Sequence[UnjudgedRow],
    mode: Mode,
    rule: Rule | Sequence[Rule],
    *,
    untrusted: str | None = None,
    chosen: Sequence[int] | None = None,
) -> tuple[list[Row], Controls | None]:
    """Every row with its verdict, and the controls. A verdict that the clock cycles contradict is INCONCLUSIVE.

    `rule`: of all rows, or each row's own. `untrusted`: why no difference can be measured (`untrusted_reason`).
    `chosen`: the rows to return, by index; by default all. Their verdicts depend on all rows.
    """
    indices = range(len(unjudged)) if chosen is None else chosen
    rows, controls = judge_by(unjudged, mode, rule, indices, untrusted=untrusted)
    if not any(evidence and evidence.in_cycles for _, evidence in unjudged):
        return rows, controls
    cycle_rows = [(row, (evidence.in_cycles or evidence) if evidence else None) for row, evidence in unjudged]
    by_cycles, _ = judge_by(cycle_rows, mode, rule, indices, untrusted=untrusted)
    in_cycles = [bool(evidence and evidence.in_cycles) for _, evidence in unjudged]
    return [
        agreed(row, other) if in_cycles[i] else row for i, row, other in zip(indices, rows, by_cycles, strict=True)
    ], controls


def judge_by(
    unjudged: Sequence[UnjudgedRow],
    mode: Mode,
    rule: Rule | Sequence[Rule],
    indices: Sequence[int],
    *,
    untrusted: str | None = None,
) -> tuple[list[Row], Controls | None]:
    """The rows `indices` judged by their round logs alone, of times or of cycles, and the controls."""
    rules = [rule] * len(unjudged) if isinstance(rule, Rule) else rule
    effects = {i: effect_of(evidence, rules[i].guard, 0.0) for i, (_, evidence) in enumerate(unjudged) if evidence}
    unchanged = {i for i, (row, evidence) in enumerate(unjudged) if evidence and row.moves.nothing}
    controls = control([effect.value for i, effect in effects.items() if i in unchanged and effect])
    shift, spread = (controls.shift, controls.spread) if controls and mode == "time" else (0.0, 0.0)
    if (
        shift
    ):  # the clock of a run shifts all its times alike, so the shift of unchanged code is subtracted from the others
        effects |= {i: effect_of(unjudged[i][1], rules[i].guard, shift) for i in effects if i not in unchanged}
    family = [i for i, effect in effects.items() if effect and i not in unchanged]
    adjusted = dict(zip(family, adjust([effect for i in family if (effect := effects[i])]), strict=True))
    rows = []
    for i in indices:
        row, evidence = unjudged[i]
        if evidence is None:
            rows.append(row)
            continue
        effect = effects[i]
        if i in unchanged:
            judgement = RowJudgement(SAME_CODE)
        else:
            judgement = judge_one(row, evidence, effect, rules[i], adjusted.get(i, 1.0), spread, untrusted)
        rows.append(
            dataclasses.replace(
                row,
                change=Interval(effect.low, effect.value, effect.high).exp() if effect else None,
                p=adjusted.get(i),
                verdict=judgement.verdict,
                reason=judgement.reason,
                rounds_needed=judgement.rounds_needed if judgement.verdict == INCONCLUSIVE else None,
            )
        )
    return rows, controls


def agreed(by_time: Row, by_cycles: Row) -> Row:
    """The row by its times, with its change in cycles; INCONCLUSIVE if the cycles contradict it."""
    by_time = dataclasses.replace(by_time, change_in_cycles=by_cycles.change)
    if not cycles.contradict(by_time.verdict, by_cycles.verdict, BETTER_OR_WORSE):
        return by_time
    return dataclasses.replace(by_time, verdict=INCONCLUSIVE, reason=cycles.CLOCK_DEPENDENT)


@functools.lru_cache(maxsize=64)
def effect_of(evidence: RoundLogs | None, guard: float, shift: float) -> Effect | None:
    """Head against base, minus a shift; None with fewer than two rounds on a side, because the spread is unknown.

    Cached, because the audit of the gate judges each suite several times, and only one row differs.
    """
    if evidence is None or min(len(evidence.base), len(evidence.head)) < 2:
        return None
    return stats.effect([value - shift for value in evidence.head], evidence.base, guard=guard)


def control(changes: Sequence[float]) -> Controls | None:
    """The shift and the spread of changes of unchanged code; None if there are fewer than FEWEST_CONTROLS."""
    if len(changes) < FEWEST_CONTROLS:
        return None
    shift = median(changes)
    return Controls(len(changes), shift, float(np.quantile([abs(change - shift) for change in changes], 0.95)))


def judge_one(
    row: Row,
    evidence: RoundLogs,
    effect: Effect | None,
    rule: Rule,
    adjusted: float,
    spread: float,
    untrusted: str | None,
) -> RowJudgement:
    """The verdict on a row that was timed on both sides."""
    if untrusted_because := next((label for label in evidence.labels if label in UNJUDGED), untrusted):
        return RowJudgement(INCONCLUSIVE, untrusted_because)
    rounds = min(len(evidence.base), len(evidence.head))
    if effect is None:
        return RowJudgement(INCONCLUSIVE, "few_rounds", rule.least_rounds)
    judgement = judge_effect(
        rule,
        effect,
        adjusted=adjusted,
        slower_by=evidence.scale_seconds * exp(median(evidence.base)) * expm1(effect.value),
        rounds=rounds,
        spread=spread,
    )
    if judgement.verdict == REGRESSED and reference_moved(row):
        return RowJudgement(REFERENCE_CHANGED)
    return judgement


def reference_moved(row: Row) -> bool:
    """Whether the reference's code changed and the variant's did not: a better compiler is not a regression."""
    moves = dict(row.moves.sides)
    return len(moves) == 2 and moves.pop(row.variant) == "same" and None not in moves.values()
