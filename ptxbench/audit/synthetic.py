"""Seeded suites judged by the shipped rule of ratios and times: with equal code, and with one slowed kernel.

Nothing is timed: the noise is a model (noise.py). This tests the complete rule of a gate: Holm's family of a whole
suite, guard and bounds, controls. docs/ci.md has the targets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ptxbench.audit.noise import NOISES, NOISY, Floats, Noise, draw_suite
from ptxbench.audit.tally import AuditTally, RateTarget, TallyLine, line, twice_the_budget
from ptxbench.audit.tally import Suite as Drafts
from ptxbench.verdict.code_changes import Moves
from ptxbench.verdict.config import GateConfig
from ptxbench.verdict.limits import rule_for
from ptxbench.verdict.rows import Mode, RoundLogs, Row

KERNELS = 24
ROUNDS = (5, 10)

ENOUGH_ROUNDS = 10
"""The fewest rounds for which misses and INCONCLUSIVE have a target; five rounds are for a first look."""

SECONDS = 100e-6
"""The time of each kernel: much more than the resolution of the clock."""

MOST_ALARMS: dict[Mode, float] = {"ratio": 0.01, "time": 0.02}
MOST_MISSED, MOST_FAR_MISSED = 0.05, 0.001
"""The greatest shares of misses for slowdowns of twice and four times the budget."""
MOST_UNSURE = 0.10

MOVED, STILL = Moves((("ptx", "source"),)), Moves((("ptx", "same"),))


@dataclass(frozen=True)
class NoiseCondition:
    """What is judged: the mode, and whether all kernels changed, or only one and the others are controls."""

    mode: Mode
    controls: bool

    def moves(self, kernels: int, changed: int) -> list[Moves]:
        """The code changes of each kernel; `changed`: the one that changed if the others are controls."""
        return [STILL if self.controls and i != changed else MOVED for i in range(kernels)]


CONDITIONS = (NoiseCondition("ratio", False), NoiseCondition("time", False), NoiseCondition("time", True))
"""Ratios need no controls. Times are shown without controls, as after a new compiler, and with them, as after an
edit."""

Reporter = Callable[[int, int, str], None]
"""Pieces of work done, their total, and the next one."""


def audit_synthetic(config: GateConfig, suites: int, seed: int, report: Reporter = lambda *_: None) -> list[TallyLine]:
    """Every condition under every noise, by the budgets of `config`, without those of its [[pair]] tables."""
    lines = []
    for number, noise in enumerate(NOISES):
        rng = np.random.default_rng([seed, number])
        tallies = {
            (condition, rounds): AuditTally(condition.mode, rule_for(config, condition.mode))
            for condition in CONDITIONS
            for rounds in rounds_of(config)
        }
        for i in range(suites):
            report(number * suites + i, len(NOISES) * suites, f"{noise.name} noise")
            suite = draw_suite(noise, rng, KERNELS, max(rounds_of(config)))
            for (condition, rounds), tally in tallies.items():
                values = suite.ratios if condition.mode == "ratio" else suite.times
                tally.add(drafts(condition, values[..., :rounds]))
        for (condition, rounds), tally in tallies.items():
            tally_line = line(tally, noise.name, rounds, KERNELS, condition.controls)
            lines.append(dataclasses.replace(tally_line, targets=list(targets(tally_line, noise))))
    return sorted(lines, key=lambda tally_line: CONDITIONS.index(NoiseCondition(tally_line.mode, tally_line.controls)))


def rounds_of(config: GateConfig) -> Sequence[int]:
    return sorted({max(rounds, config.min_rounds) for rounds in ROUNDS})


def drafts(condition: NoiseCondition, values: Floats) -> Drafts:
    """`values`: natural logarithms, shape (2, kernels, rounds)."""
    base, head = values.tolist()
    rows = rows_of(condition, len(base))
    return [(row, RoundLogs(base[i], head[i], SECONDS)) for i, row in enumerate(rows)]


@cache
def rows_of(condition: NoiseCondition, kernels: int) -> Sequence[Row]:
    return [
        Row(f"k{i:02}", {}, "", "", "ptx", condition.mode, "", moves=moves)
        for i, moves in enumerate(condition.moves(kernels, changed=0))
    ]


def targets(line: TallyLine, noise: Noise) -> Iterator[RateTarget]:
    """The targets of a line: false alarms under every noise; the others if there are enough rounds and little noise.

    Under NOISY, misses and INCONCLUSIVE have no target: the data cannot decide, and INCONCLUSIVE is the right answer.
    """
    yield RateTarget("false alarms", MOST_ALARMS[line.mode], line.alarms)
    if noise is NOISY or line.rounds < ENOUGH_ROUNDS:
        return
    twice = twice_the_budget(line.budget)
    yield RateTarget(f"missed at {100 * twice:g} %", MOST_MISSED, line.missed[twice])
    if far := line.missed.get(2 * twice):  # 20 % for the usual budget; not required of a wide one
        yield RateTarget(f"missed at {200 * twice:g} %", MOST_FAR_MISSED, far)
    yield RateTarget("unsure", MOST_UNSURE, line.inconclusive)
