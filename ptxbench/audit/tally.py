"""Counts the verdicts of the shipped rule on suites with a known answer: false alarms, misses and INCONCLUSIVE."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log1p

from ptxbench.audit.rate import AlarmRate
from ptxbench.verdict.comparison import judge_rows
from ptxbench.verdict.rows import Mode, RoundLogs, Row
from ptxbench.verdict.verdicts import INCONCLUSIVE, REGRESSED, SAME_CODE, Rule

SLOWDOWNS = (0.01, 0.02, 0.03, 0.05, 0.10, 0.20)

Suite = Sequence[tuple[Row, RoundLogs]]
"""A suite of rows."""


def slowdowns(budget: float) -> tuple[float, ...]:
    """The slowdowns that are injected."""
    return tuple(sorted({*SLOWDOWNS, twice_the_budget(budget)}))


def twice_the_budget(budget: float) -> float:
    """The slowdown that the rule should find; rounded, so that twice 5 % is the 10 % of SLOWDOWNS."""
    return round(2 * budget, 9)


def slowed(suite: Suite, slowdown: float, index: int = 0) -> Suite:
    """The suite with one slower kernel in head, in time and in clock cycles."""
    row, evidence = suite[index]
    head, head_cycles = ([log + log1p(slowdown) for log in logs] for logs in (evidence.head, evidence.head_cycles))
    worse = (row, dataclasses.replace(evidence, head=head, head_cycles=head_cycles))
    return [*suite[:index], worse, *suite[index + 1 :]]


@dataclass
class AuditTally:
    """Verdicts counted over suites of one kind."""

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
    """How many of the missed slowdowns the gate calls INCONCLUSIVE instead of passing them."""

    def add(self, suite: Suite, slowed_row: int = 0, untrusted: str | None = None) -> bool:
        """Judge the suite, and the suite with each slowdown of the kernel at `slowed_row`; whether there was a false
        alarm."""

        def judged(suite: Suite, chosen: Sequence[int] | None = None) -> list[str]:
            rows, _ = judge_rows(suite, self.mode, self.rule, untrusted=untrusted, chosen=chosen)
            return [row.verdict for row in rows]

        verdicts = judged(suite)
        self.suites += 1
        self.alarms += REGRESSED in verdicts
        self.changed += len(verdicts) - verdicts.count(SAME_CODE)
        self.inconclusive += verdicts.count(INCONCLUSIVE)
        for slowdown in slowdowns(self.rule.budget):
            (verdict,) = judged(slowed(suite, slowdown, slowed_row), [slowed_row])
            self.trials[slowdown] = self.trials.get(slowdown, 0) + 1
            self.missed[slowdown] = self.missed.get(slowdown, 0) + (verdict != REGRESSED)
            self.missed_inconclusive[slowdown] = self.missed_inconclusive.get(slowdown, 0) + (verdict == INCONCLUSIVE)
        return REGRESSED in verdicts


@dataclass(frozen=True)
class TallyLine:
    """How often the rule was wrong, under one condition."""

    mode: Mode
    budget: float
    noise: str
    """The model of the noise, or the GPU."""
    rounds: int
    """The rounds of each run."""
    kernels: int
    controls: bool
    """True if one kernel counts as changed and the others are controls; otherwise all count as changed."""
    alarms: AlarmRate
    """False alarms over suites."""
    apart: AlarmRate
    """False alarms over suites that share no run, which a bound needs."""
    inconclusive: AlarmRate
    """INCONCLUSIVE rows over rows of unchanged speed. Rows of one suite share its run, so there is no bound."""
    missed: Mapping[float, AlarmRate]
    """By slowdown: suites in which the slowed kernel was not REGRESSED."""
    missed_inconclusive: Mapping[float, int]
    targets: Sequence[RateTarget] = ()

    @property
    def holds(self) -> bool | None:
        """Whether all targets are met; None without targets."""
        return all(target.holds for target in self.targets) if self.targets else None


@dataclass(frozen=True)
class RateTarget:
    """A share and its limit."""

    name: str
    most: float
    rate: AlarmRate

    @property
    def holds(self) -> bool:
        return self.rate.share is not None and self.rate.share <= self.most


def line(
    tally: AuditTally, noise: str, rounds: int, kernels: int, controls: bool, apart: AlarmRate | None = None
) -> TallyLine:
    """The line of a complete tally, without targets; `apart`: the false alarms of suites that share no run, if others
    do."""
    return TallyLine(
        mode=tally.mode,
        budget=tally.rule.budget,
        noise=noise,
        rounds=rounds,
        kernels=kernels,
        controls=controls,
        alarms=AlarmRate(tally.alarms, tally.suites),
        apart=apart or AlarmRate(tally.alarms, tally.suites),
        inconclusive=AlarmRate(tally.inconclusive, tally.changed),
        missed={slowdown: AlarmRate(tally.missed[slowdown], trials) for slowdown, trials in tally.trials.items()},
        missed_inconclusive=dict(tally.missed_inconclusive),
    )
