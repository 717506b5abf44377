"""The effect of `gate --confirm` on the gate, by simulation: fewer inconclusive rows, fewer misses, no alarms."""

import numpy as np

from ptxbench.audit.noise import NOISY, draw_suite
from ptxbench.verdict.code_changes import Moves
from ptxbench.verdict.comparison import judge_rows
from ptxbench.verdict.rows import RoundLogs, Row
from ptxbench.verdict.verdicts import INCONCLUSIVE, REGRESSED, Rule

SUITES, KERNELS, ROUNDS = 60, 24, 5
MOVED = Moves((("ptx", "source"),))


def verdicts(base, head):
    rows = [
        (Row(f"k{i}", {}, "", "", "ptx", "ratio", "", moves=MOVED), RoundLogs(list(b), list(h), 100e-6))
        for i, (b, h) in enumerate(zip(base, head, strict=True))
    ]
    return [row.verdict for row in judge_rows(rows, "ratio", Rule())[0]]


def before_and_after(slowed):
    """Verdicts of every suite, before and after the doubtful rows got twice the rounds; the first kernel is slower."""
    rng = np.random.default_rng(11)
    effect = np.log1p(slowed) * (np.arange(KERNELS) == 0)[:, None]
    for _ in range(SUITES):
        base, head = draw_suite(NOISY, rng, KERNELS, ROUNDS).ratios
        more = draw_suite(NOISY, rng, KERNELS, ROUNDS).ratios[1]
        first = verdicts(base, head + effect)
        pooled = [
            np.concatenate([h, m]) if verdict in (REGRESSED, INCONCLUSIVE) else h
            for h, m, verdict in zip(head + effect, more + effect, first, strict=True)
        ]
        yield first, verdicts(base, pooled)


def test_equal_kernels_raise_no_alarm_and_fewer_are_left_unsure():
    pairs = list(before_and_after(0.0))
    assert not any(REGRESSED in after for _, after in pairs)
    unsure = [sum(pair[i].count(INCONCLUSIVE) for pair in pairs) for i in (0, 1)]
    assert 0 < unsure[1] < 0.7 * unsure[0]


def test_slowdowns_are_missed_less_often():
    pairs = list(before_and_after(0.10))
    missed = [sum(pair[i][0] != REGRESSED for pair in pairs) for i in (0, 1)]
    assert missed[1] < missed[0]
