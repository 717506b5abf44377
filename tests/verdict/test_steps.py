"""Where series step: exact cases, and how often noise passes for a step and a step for noise."""

import numpy as np
import pytest

from ptxbench.verdict.steps import changes, segment_deviations, spread, steps

CASES = [
    ([], []),
    ([1.0], []),
    ([0.0, 0.0, 1.0], []),                                  # one value is not a level yet
    ([0.0, 0.0, 1.0, 1.0], [2]),
    ([0.0] * 5 + [1.0] + [0.0] * 5, []),                    # one outlier
    ([0.0] * 5 + [1.0] * 5 + [0.0] * 5, [5, 10]),
    ([0.0] * 5 + [1.0] * 5 + [3.0] * 2, [5, 10]),
    ([0.0, 9.0] * 6, []),                                   # noise alone, however great
    ([0.0, 1e-4] * 3 + [2e-4] * 6, []),                     # less than processes differ by
]  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), CASES)
def test_levels_are_separated_at_their_steps(values, expected):
    assert steps(values) == expected


def test_exact_numbers_step_wherever_they_change():
    assert changes([4, 4, 5, 5, 4]) == [2, 4]
    assert changes([]) == changes([1]) == []


def test_the_fit_has_the_least_cost_of_all():
    """Against every way to part seven values."""
    rng = np.random.default_rng(7)
    for _ in range(20):
        x = rng.normal(0, 1, 7) + np.repeat([0, 6], [4, 3]) * rng.integers(0, 2)
        penalty = 3.0 * max(spread(x), 1e-3) * np.log(7)
        ways = [[], *([i] for i in range(2, 6)), *([i, j] for i in range(2, 4) for j in range(i + 2, 6))]
        sums = []
        for way in ways:
            levels = np.split(x, way)
            sums.append(sum(np.abs(level - np.median(level)).sum() for level in levels) + penalty * len(way))
        assert steps(list(x)) == ways[int(np.argmin(sums))]


def test_deviations_are_computed_for_each_segment():
    table = segment_deviations(np.array([1.0, 5.0, 2.0]))
    assert (table[0, 3], table[1, 3], table[2, 3]) == (4.0, 3.0, 0.0)
    assert np.isinf(table[1, 1])


RUNS, NOISE, SERIES = 40, 0.004, 120
"""Assumed noise: the ratio of one kernel in 40 runs varies by 0.4 %."""


def noise(rng):
    return rng.normal(0, NOISE, RUNS)


def outliers(rng):
    return noise(rng) + (rng.random(RUNS) < 0.05) * rng.exponential(6 * NOISE, RUNS)


@pytest.mark.parametrize("kind", [noise, outliers])
def test_no_series_without_a_step_has_one(kind):
    rng = np.random.default_rng(1)
    assert [steps(list(kind(rng))) for _ in range(SERIES)] == [[]] * SERIES


@pytest.mark.parametrize(("kind", "least"), [(noise, 0.98), (outliers, 0.9)])
def test_a_step_of_five_per_cent_is_found_two_runs_later(kind, least):
    rng = np.random.default_rng(2)
    late = np.arange(RUNS) >= RUNS - 2
    results = [steps(list(kind(rng) + late * np.log(1.05))) for _ in range(SERIES)]
    assert sum(result == [RUNS - 2] for result in results) / SERIES >= least


def test_correlated_noise_sometimes_looks_like_steps():
    """A correlation of a half from run to run: that is why a step judges nothing."""
    rng = np.random.default_rng(3)
    flagged = 0
    for _ in range(SERIES):
        x = np.zeros(RUNS)
        for i, draw in enumerate(rng.normal(0, NOISE, RUNS)):
            x[i] = 0.5 * x[i - 1] * (i > 0) + draw
        flagged += bool(steps(list(x)))
    assert 0 < flagged / SERIES < 0.15
