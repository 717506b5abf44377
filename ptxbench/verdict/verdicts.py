"""The verdicts on a row, and the rule that decides about times. Numbers in, a verdict out; knows no runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log1p
from typing import Literal

from ptxbench import stats
from ptxbench.stats import Effect

REGRESSED, IMPROVED, NO_REGRESSION, INCONCLUSIVE = "REGRESSED", "IMPROVED", "NO-REGRESSION", "INCONCLUSIVE"
SAME_CODE, REFERENCE_CHANGED = "SAME-CODE", "REFERENCE-CHANGED"
BROKEN, FIXED, BROKEN_BOTH = "BROKEN", "FIXED", "BROKEN-BOTH"
NEW, MISSING, NOT_COMPARABLE = "NEW", "MISSING", "NOT-COMPARABLE"
NOT_MEASURABLE, WAIVED, CHANGED = "NOT-MEASURABLE", "WAIVED", "CHANGED"  # of a gate only

NOT_DETERMINISTIC = "not_deterministic"
"""Reason of a row whose counts differ between two runs of the same sources with the same tools."""

OTHER_COUNTS = "other_counts"
"""Reason of a SAME-CODE row whose counts differ, though the same code, launched alike, always gives the same counts."""

OTHER_TOOLS = "other_tools"
"""Reason of a row that is NOT-COMPARABLE only because other tools built it."""

State = Literal["good", "failed", "absent", "must fail"]
"""The state of a variant in one run. `must fail`: it must be wrong and is; its row has no numbers."""

BY_STATES: dict[State, dict[State, str | None]] = {
    "good": {"good": None, "failed": BROKEN, "absent": MISSING, "must fail": MISSING},
    "failed": {"good": FIXED, "failed": BROKEN_BOTH, "absent": MISSING, "must fail": FIXED},
    "absent": {"good": NEW, "failed": BROKEN, "absent": None, "must fail": NEW},
    "must fail": {"good": NEW, "failed": BROKEN, "absent": MISSING, "must fail": None},
}
"""The verdict on a variant by its state in base, then by its state in head; None if the states decide nothing."""

VERDICTS = {
    BROKEN: "fails only in head",
    REGRESSED: "worse by more than the budget",
    MISSING: "only in base",
    BROKEN_BOTH: "fails in both",
    INCONCLUSIVE: "the data do not decide",
    NOT_COMPARABLE: "not comparable",
    REFERENCE_CHANGED: "the CUDA side's code changed, the PTX side's did not",
    FIXED: "failed only in base",
    IMPROVED: "better by more than the budget",
    NEW: "only in head",
    NO_REGRESSION: "proven to be within the budget",
    SAME_CODE: "the same machine code in both; a control",
}
"""Every verdict with its meaning, in the order in which rows are shown: what needs attention first."""

GATE_ORDER = (BROKEN, REGRESSED, MISSING, BROKEN_BOTH, NOT_MEASURABLE, INCONCLUSIVE, NOT_COMPARABLE, CHANGED,
              REFERENCE_CHANGED, WAIVED, FIXED, IMPROVED, NEW, NO_REGRESSION, SAME_CODE)  # fmt: skip
"""Verdicts of a gate, in the order in which rows are shown."""

JUDGED = frozenset({BROKEN, REGRESSED, REFERENCE_CHANGED, IMPROVED, NO_REGRESSION, SAME_CODE})
"""Verdicts about the numbers."""

BETTER_OR_WORSE = frozenset({REGRESSED, IMPROVED, REFERENCE_CHANGED})
"""Verdicts that claim a difference, which both times and clock cycles must show."""

LEAST_ROUNDS = 5
"""A round is one process. Fewer rounds cannot show how much processes differ."""

MOST_ROUNDS = 200
"""More rounds than this are never advised: such a change is close to the budget itself."""


@dataclass(frozen=True)
class Rule:
    """What counts as a change of a time or a ratio.

    `budget` is the greatest change that is allowed; the lower bound of a regression must pass half of it. About half of
    the changes of exactly the budget are found, and nearly all of twice the budget (docs/ci.md).
    """

    budget: float = 0.05
    alpha: float = 0.05
    """The greatest probability of any REGRESSED row in a comparison of equal code."""
    level: float = stats.LEVEL
    """The probability with which each one-sided bound holds."""
    floor_seconds: float = 0.5e-6
    """A smaller slowdown is ignored: events resolve half a microsecond."""
    least_rounds: int = LEAST_ROUNDS
    """With fewer rounds on a side there is no verdict."""

    @property
    def big(self) -> float:
        return log1p(self.budget)

    @property
    def guard(self) -> float:
        return log1p(self.budget / 2)


@dataclass(frozen=True)
class RowJudgement:
    """A verdict, the reason if it is not a clear answer, and how many rounds of each run would decide it."""

    verdict: str
    reason: str | None = None
    rounds_needed: int | None = None


def judge_effect(
    rule: Rule, effect: Effect, *, adjusted: float, slower_by: float, rounds: int, spread: float = 0.0
) -> RowJudgement:
    """Whether the time, or the ratio, of head differs from that of base.

    `effect`: of natural logarithms. `adjusted`: its p value after Holm. `slower_by`: the same in seconds, against the
    floor. `rounds`: of the run with fewer. `spread`: how far rows of unchanged code moved; a regression must be
    greater.
    """
    if rounds < rule.least_rounds:
        return RowJudgement(INCONCLUSIVE, "few_rounds", rule.least_rounds)
    if spread > rule.big:
        return RowJudgement(INCONCLUSIVE, "controls_spread")
    if effect.value >= max(rule.big, spread) and effect.low > rule.guard and adjusted <= rule.alpha:
        if slower_by >= rule.floor_seconds:
            return RowJudgement(REGRESSED)
        return RowJudgement(NO_REGRESSION, "under_floor")
    if effect.value <= -rule.big and effect.high < -rule.guard:
        return RowJudgement(IMPROVED)
    if effect.high < rule.big:
        return RowJudgement(NO_REGRESSION)
    return RowJudgement(INCONCLUSIVE, "wide_interval", rounds_needed(rule, effect, rounds))


def rounds_needed(rule: Rule, effect: Effect, rounds: int) -> int | None:
    """About how many rounds of each run would decide an interval that is too wide; None for more than MOST_ROUNDS.

    rounds x (half / gap)^2, because an interval shrinks with the root of the rounds. The gap is the distance from the
    middle of the interval to the bound that it must clear.
    """
    middle, half = (effect.low + effect.high) / 2, (effect.high - effect.low) / 2
    gap = middle - rule.guard if effect.value >= rule.big else rule.big - middle
    if gap <= 0:
        return None
    needed = max(rounds + 1, ceil(rounds * (half / gap) ** 2))
    return needed if needed <= MOST_ROUNDS else None


def judge_exact(base: float, head: float, better: Literal["lower", "higher"]) -> RowJudgement:
    """Whether a count of head is worse than base's: any difference counts."""
    if head == base:
        return RowJudgement(NO_REGRESSION)
    return RowJudgement(IMPROVED if (head < base) == (better == "lower") else REGRESSED)


def adjust(effects: Sequence[Effect]) -> list[float]:
    """The p values after Holm's correction. The family is every row of a comparison that could fail."""
    return stats.holm([effect.p for effect in effects])
