"""What the shipped rule says of suites whose truth is known, counted: false alarms, misses, and what it cannot tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log1p

from ptxbench.audit.rate import AlarmRate
from ptxbench.judge.comparison import judge
from ptxbench.judge.rows import Mode, RoundLogs, Row
from ptxbench.judge.verdicts import INCONCLUSIVE, REGRESSED, SAME_CODE, Rule

SLOWDOWNS = (0.01, 0.02, 0.03, 0.05, 0.10, 0.20)

Suite = Sequence[tuple[Row, RoundLogs]]
"""Rows whose speed is the same on both sides."""


def slowdowns(budget: float) -> tuple[float, ...]:
    """Those that are injected."""
    return tuple(sorted({*SLOWDOWNS, twice_the_budget(budget)}))


def twice_the_budget(budget: float) -> float:
    """The slowdown that the rule is made to find; rounded, so that twice 5 % is the 10 % of SLOWDOWNS."""
    return round(2 * budget, 9)


def slowed(suite: Suite, slowdown: float, place: int = 0) -> Suite:
    """The suite with one kernel slower in head, in time and in clock cycles."""
    row, evidence = suite[place]
    head, head_cycles = ([each + log1p(slowdown) for each in logs] for logs in (evidence.head, evidence.head_cycles))
    worse = (row, dataclasses.replace(evidence, head=head, head_cycles=head_cycles))
    return [*suite[:place], worse, *suite[place + 1 :]]


@dataclass
class AuditTally:
    """Counts over suites of one kind."""

    mode: Mode
    rule: Rule
    suites: int = 0
    alarms: int = 0
    changed: int = 0
    """Rows of A/A suites that could fail."""
    inconclusive: int = 0
    trials: dict[float, int] = field(default_factory=dict)
    missed: dict[float, int] = field(default_factory=dict)
    missed_inconclusive: dict[float, int] = field(default_factory=dict)
    """Of those missed: what the gate does not call good, but INCONCLUSIVE."""

    def add(self, suite: Suite, place: int = 0, distrusted: str | None = None) -> bool:
        """Judge a suite as it is, and with each slowdown of the kernel at `place`; whether it raised a false alarm."""

        def judged(suite: Suite) -> list[str]:
            return [row.verdict for row in judge(suite, self.mode, self.rule, distrusted=distrusted)[0]]

        found = judged(suite)
        self.suites += 1
        self.alarms += REGRESSED in found
        self.changed += len(found) - found.count(SAME_CODE)
        self.inconclusive += found.count(INCONCLUSIVE)
        for each in slowdowns(self.rule.budget):
            verdict = judged(slowed(suite, each, place))[place]
            self.trials[each] = self.trials.get(each, 0) + 1
            self.missed[each] = self.missed.get(each, 0) + (verdict != REGRESSED)
            self.missed_inconclusive[each] = self.missed_inconclusive.get(each, 0) + (verdict == INCONCLUSIVE)
        return REGRESSED in found


@dataclass(frozen=True)
class TallyLine:
    """How often the rule was wrong, under one condition."""

    mode: Mode
    budget: float
    noise: str
    """Its model, or the GPU that made it."""
    rounds: int
    """Of each run."""
    kernels: int
    controls: bool
    """True where one kernel's code is taken for changed and the others are controls; else all are."""
    alarms: AlarmRate
    """Of suites."""
    apart: AlarmRate
    """Of suites no two of which have a run in common: what a bound may be made of."""
    inconclusive: AlarmRate
    """Of rows of unchanged speed. Rows of one suite share its run, so it has no bound."""
    missed: Mapping[float, AlarmRate]
    """By slowdown: suites in which the slowed kernel was not REGRESSED."""
    missed_inconclusive: Mapping[float, int]
    targets: Sequence[RateTarget] = ()

    @property
    def holds(self) -> bool | None:
        """Whether it keeps all its targets; None where it has none."""
        return all(each.holds for each in self.targets) if self.targets else None


@dataclass(frozen=True)
class RateTarget:
    """What a share must not exceed."""

    name: str
    most: float
    rate: AlarmRate

    @property
    def holds(self) -> bool:
        return self.rate.share is not None and self.rate.share <= self.most


def line(
    tally: AuditTally, noise: str, rounds: int, kernels: int, controls: bool, apart: AlarmRate | None = None
) -> TallyLine:
    """A tally that is complete, without targets; `apart`: where suites have runs in common."""
    return TallyLine(
        tally.mode,
        tally.rule.budget,
        noise,
        rounds,
        kernels,
        controls,
        AlarmRate(tally.alarms, tally.suites),
        apart or AlarmRate(tally.alarms, tally.suites),
        AlarmRate(tally.inconclusive, tally.changed),
        {each: AlarmRate(tally.missed[each], trials) for each, trials in tally.trials.items()},
        dict(tally.missed_inconclusive),
    )
