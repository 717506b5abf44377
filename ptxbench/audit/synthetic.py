"""Seeded suites through the shipped rule of ratios and times: of equal code, and with one kernel slowed.

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
from ptxbench.judge.code_changes import Moves
from ptxbench.judge.config import GateConfig
from ptxbench.judge.limits import rule_for
from ptxbench.judge.rows import Mode, RoundLogs, Row

KERNELS = 24
SUITES = 300
"""Without one false alarm, 300 suites bound the true rate below 1 %."""

ROUNDS = (5, 10)

ENOUGH_ROUNDS = 10
"""From which misses and INCONCLUSIVE are held to a target: five are for a first look."""

SECONDS = 100e-6
"""Of each kernel: far above the floor of the clock."""

MOST_ALARMS: dict[Mode, float] = {"ratio": 0.01, "time": 0.02}
MOST_MISSED, MOST_FAR_MISSED = 0.05, 0.001
"""Of slowdowns of twice the budget, and of four times."""
MOST_UNSURE = 0.10


MOVED, STILL = Moves((("ptx", "source"),)), Moves((("ptx", "same"),))


@dataclass(frozen=True)
class NoiseCondition:
    """What is judged: by which mode, and whether all kernels changed, or one and the others are controls."""

    mode: Mode
    controls: bool

    def moves(self, kernels: int, changed: int) -> list[Moves]:
        """Of each kernel; `changed`: the one that changed where the others are controls."""
        return [STILL if self.controls and i != changed else MOVED for i in range(kernels)]


CONDITIONS = (NoiseCondition("ratio", False), NoiseCondition("time", False), NoiseCondition("time", True))
"""Ratios need no controls. Times are shown without any, as after another compiler, and with them, as after an edit."""

Tell = Callable[[int, int, str], None]
"""Pieces of work done, their total, and what comes next."""


def audit_synthetic(config: GateConfig, suites: int, seed: int, tell: Tell = lambda *_: None) -> list[TallyLine]:
    """Every condition under every noise, by the budgets of `config`; those of its pairs have no part in it."""
    found = []
    for number, noise in enumerate(NOISES):
        rng = np.random.default_rng([seed, number])
        tallies = {
            (each, rounds): AuditTally(each.mode, rule_for(config, each.mode))
            for each in CONDITIONS
            for rounds in rounds_of(config)
        }
        for i in range(suites):
            tell(number * suites + i, len(NOISES) * suites, f"{noise.name} noise")
            suite = draw_suite(noise, rng, KERNELS, max(rounds_of(config)))
            for (condition, rounds), tally in tallies.items():
                values = suite.ratios if condition.mode == "ratio" else suite.times
                tally.add(drafts(condition, values[..., :rounds]))
        for (condition, rounds), tally in tallies.items():
            made = line(tally, noise.name, rounds, KERNELS, condition.controls)
            found.append(dataclasses.replace(made, targets=list(targets(made, noise))))
    return sorted(found, key=lambda each: CONDITIONS.index(NoiseCondition(each.mode, each.controls)))


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
    """What the line is held to: false alarms under every noise; the rest where rounds are enough and noise is not much.

    Under NOISY, misses and INCONCLUSIVE are shown as they are: there the data cannot tell, and saying so is right.
    """
    yield RateTarget("false alarms", MOST_ALARMS[line.mode], line.alarms)
    if noise is NOISY or line.rounds < ENOUGH_ROUNDS:
        return
    twice = twice_the_budget(line.budget)
    yield RateTarget(f"missed at {100 * twice:g} %", MOST_MISSED, line.missed[twice])
    if far := line.missed.get(2 * twice):  # 20 % of the usual budget; no longer asked of a wide one
        yield RateTarget(f"missed at {200 * twice:g} %", MOST_FAR_MISSED, far)
    yield RateTarget("unsure", MOST_UNSURE, line.inconclusive)
