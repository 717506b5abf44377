"""How often the rule is wrong: 24 kernels, five rounds on each side, from seeded noise. No figure is of a GPU."""

import numpy as np
import pytest

from ptxbench.verdict import Rule
from ptxbench.verdict.code_changes import Moves
from ptxbench.verdict.comparison import judge_rows
from ptxbench.verdict.rows import RoundLogs, Row

KERNELS = 24
MOVED = Moves((("ptx", "source"), ("cuda", "same")))


def verdicts(rng, *, sd, rounds=5, slowdown=0.0, us=100.0):
    """The verdicts of one comparison; its first kernel is slower by `slowdown`. `sd`: of a round's log ratio."""
    rows = []
    for i in range(KERNELS):
        base, head = rng.normal(0, sd, (2, rounds))
        head = head + np.log1p(slowdown if i == 0 else 0)
        row = Row(f"k{i}", {"n": 1}, "sm_90", "cold", "ptx", "ratio", "", base=1.0, head=1.0, moves=MOVED)
        rows.append((row, RoundLogs(base.tolist(), head.tolist(), us / 1e6)))
    return [row.verdict for row in judge_rows(rows, "ratio", Rule())[0]]


def share(event, trials=200, seed=0, **settings):
    """How often `event` of the verdicts of a comparison is true."""
    rng = np.random.default_rng(seed)
    return sum(event(verdicts(rng, **settings)) for _ in range(trials)) / trials


# standard deviation, rounds, comparisons with an alarm at most
ALARMS = [
    (0.005, 5, 0.0),
    (0.020, 5, 0.01),
    (0.020, 10, 0.01),
    (0.050, 5, 0.05),     # twice the guard: alpha is the bound
]  # fmt: skip


@pytest.mark.parametrize(("sd", "rounds", "most"), ALARMS)
def test_equal_kernels_raise_almost_no_alarm(sd, rounds, most):
    assert share(lambda words: "REGRESSED" in words, sd=sd, rounds=rounds) <= most


def test_equal_kernels_with_little_noise_are_within_the_budget():
    assert share(lambda words: words.count("NO-REGRESSION") == KERNELS, sd=0.005) >= 0.99


# slowdown, standard deviation, rounds: how often it is found, at least and at most
FOUND = [
    (0.20, 0.005, 5,  0.99, 1.0),
    (0.10, 0.005, 5,  0.95, 1.0),
    (0.05, 0.005, 5,  0.30, 0.6),     # at the budget itself: about half, by design
    (0.02, 0.005, 5,  0.00, 0.01),
    (0.10, 0.020, 5,  0.70, 0.95),    # noisy: the rest is INCONCLUSIVE
    (0.10, 0.020, 20, 0.95, 1.0),     # and more rounds find it
]  # fmt: skip


@pytest.mark.parametrize(("slowdown", "sd", "rounds", "least", "most"), FOUND)
def test_a_slowdown_beyond_the_budget_is_found(slowdown, sd, rounds, least, most):
    measured_share = share(lambda words: words[0] == "REGRESSED", sd=sd, rounds=rounds, slowdown=slowdown)
    assert least <= measured_share <= most


def test_an_unproven_row_is_inconclusive_and_not_a_pass():
    slower = share(lambda words: words[0] == "NO-REGRESSION", sd=0.02, slowdown=0.10)
    assert slower <= 0.01
