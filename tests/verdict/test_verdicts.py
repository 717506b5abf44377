"""The rule about times: each way to a verdict, with the numbers on its edge."""

from dataclasses import replace
from math import log1p

import pytest

from ptxbench.stats import Effect, Interval
from ptxbench.verdict.rows import exact_change
from ptxbench.verdict.verdicts import Rule, judge_effect, judge_exact, rounds_needed

RULE = Rule()

# value, low, high (per cent), adjusted p, microseconds, rounds, spread of controls (per cent): verdict, reason
ROWS = [
    (10.0, 8.0, 12.0, 0.001, 5.0, 5, 0.0, "REGRESSED", None),
    (5.0, 4.0, 6.0, 0.001, 5.0, 5, 0.0, "REGRESSED", None),             # exactly the budget
    (4.9, 4.0, 5.8, 0.001, 5.0, 5, 0.0, "INCONCLUSIVE", "wide_interval"),     # proven slower, not by the budget
    (10.0, 2.4, 18.0, 0.001, 5.0, 5, 0.0, "INCONCLUSIVE", "wide_interval"),   # the low end within the guard
    (10.0, 8.0, 12.0, 0.06, 5.0, 5, 0.0, "INCONCLUSIVE", "wide_interval"),    # one of many rows: Holm
    (10.0, 8.0, 12.0, 0.001, 0.4, 5, 0.0, "NO-REGRESSION", "under_floor"),     # of a kernel of 4 us
    (10.0, 8.0, 12.0, 0.001, 5.0, 4, 0.0, "INCONCLUSIVE", "few_rounds"),
    (0.1, -1.0, 1.2, 0.9, 0.1, 5, 0.0, "NO-REGRESSION", None),
    (0.1, -5.0, 5.2, 0.9, 0.1, 5, 0.0, "INCONCLUSIVE", "wide_interval"),
    (-10.0, -12.0, -8.0, 1.0, -5.0, 5, 0.0, "IMPROVED", None),
    (-4.0, -5.0, -3.0, 1.0, -2.0, 5, 0.0, "NO-REGRESSION", None),
    (-10.0, -18.0, -2.0, 1.0, -5.0, 5, 0.0, "NO-REGRESSION", None),            # better, not proven by the guard
    (10.0, 8.0, 12.0, 0.001, 5.0, 5, 6.0, "INCONCLUSIVE", "controls_spread"), # unchanged code moved by 6 %
    (5.5, 4.0, 7.0, 0.001, 5.0, 5, 4.9, "REGRESSED", None),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "ratio"), [(2, 3, 1.5), (2, 0, 0), (0, 3, None), (5e-324, 64, None)])
def test_a_count_changes_by_a_ratio_where_that_is_a_number(before, after, ratio):
    interval = exact_change(before, after)
    assert interval == (Interval(ratio, ratio, ratio) if ratio is not None else None)


@pytest.mark.parametrize("row", ROWS)
def test_a_change_of_time_gets_its_verdict(row):
    value, low, high, adjusted, us, rounds, spread, verdict, reason = row
    effect = Effect(log1p(low / 100), log1p(value / 100), log1p(high / 100), 0.5)
    judged = judge_effect(
        RULE, effect, adjusted=adjusted, slower_by=us / 1e6, rounds=rounds, spread=log1p(spread / 100)
    )
    assert (judged.verdict, judged.reason) == (verdict, reason)


def test_another_budget_gives_another_verdict():
    effect = Effect(0.03, 0.05, 0.07, 0.001)
    assert judge_effect(replace(RULE, budget=0.04), effect, adjusted=0.0, slower_by=1, rounds=9).verdict == "REGRESSED"
    assert (
        judge_effect(replace(RULE, budget=0.10), effect, adjusted=0.0, slower_by=1, rounds=9).verdict == "NO-REGRESSION"
    )


@pytest.mark.parametrize(("rounds", "verdict"), [(7, "INCONCLUSIVE"), (8, "REGRESSED")])
def test_a_rule_may_ask_for_more_rounds(rounds, verdict):
    effect = Effect(0.08, 0.1, 0.12, 0.001)
    judged = judge_effect(replace(RULE, least_rounds=8), effect, adjusted=0.0, slower_by=1, rounds=rounds)
    assert judged.verdict == verdict
    assert judged.rounds_needed == (8 if verdict == "INCONCLUSIVE" else None)


# low, value, high, rounds: needed
NEEDED = [
    ((-0.04, 0.0, 0.06),   5, 9),           # middle 1 %, half 5 %: 5 x (5 / 3.88)^2 = 8.3
    ((-0.01, 0.0, 0.0488), 5, 6),           # just too wide: one more at least
    ((0.0, 0.0485, 0.097), 5, None),        # the middle is the budget itself
    ((-0.02, 0.08, 0.18),  5, 17),          # slower; the low end must pass half the budget
]  # fmt: skip


@pytest.mark.parametrize(("effect", "rounds", "needed"), NEEDED)
def test_the_rounds_that_would_decide_grow_with_the_square_of_the_interval(effect, rounds, needed):
    assert rounds_needed(RULE, Effect(*effect, p=0.5), rounds) == needed


EXACT = [
    (10, 10, "lower",  "NO-REGRESSION"),
    (10, 11, "lower",  "REGRESSED"),
    (10, 9,  "lower",  "IMPROVED"),
    (0,  1,  "lower",  "REGRESSED"),
    (1.0, 0.5, "higher", "REGRESSED"),
    (0.5, 1.0, "higher", "IMPROVED"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "head", "better", "verdict"), EXACT)
def test_counts_are_compared_exactly(base, head, better, verdict):
    assert judge_exact(base, head, better).verdict == verdict
