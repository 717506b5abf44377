"""The noise model: its estimates match a run, and its components are the declared ones."""

from dataclasses import replace
from math import log, log1p

import numpy as np
import pytest

from ptxbench import stats
from ptxbench.audit.noise import BLOCKS, NOISES, QUIET, Noise, draw_suite, walsh_median

SILENT = Noise("silent", run=0, process=0, variant=0, sample=0, delayed=0, slow=0)


def suite(noise, seed=1, kernels=40, rounds=40):
    return draw_suite(noise, np.random.default_rng(seed), kernels, rounds)


def test_a_round_is_estimated_as_a_run_does_it():
    values = np.random.default_rng(1).normal(0, 1, (5, 3, BLOCKS))
    estimates = [[stats.hodges_lehmann(samples).value for samples in row] for row in values]
    assert walsh_median(values) == pytest.approx(np.array(estimates), abs=1e-12)


def test_without_noise_equal_kernels_are_equal():
    assert not suite(SILENT).ratios.any()
    assert not suite(SILENT).times.any()


# the part, whether a ratio and a time show it
PARTS = [("run", False, True), ("process", False, True), ("variant", True, True)]


@pytest.mark.parametrize(("part", "of_ratio", "of_time"), PARTS)
def test_a_ratio_cancels_noise_that_both_variants_share(part, of_ratio, of_time):
    drawn = suite(replace(SILENT, **{part: 0.01}))
    assert bool(drawn.ratios.std() > 0.001) is of_ratio
    assert bool(drawn.times.std() > 0.001) is of_time


def test_a_run_shifts_all_its_times_equally_and_a_process_does_not():
    shifted = suite(replace(SILENT, run=0.01)).times
    assert np.ptp(shifted[0]) == pytest.approx(0, abs=1e-12)
    assert shifted[0, 0, 0] != shifted[1, 0, 0]
    assert suite(replace(SILENT, process=0.01)).times.std() == pytest.approx(0.01, rel=0.1)
    assert suite(replace(SILENT, variant=0.01)).ratios.std() == pytest.approx(0.01 * 2**0.5, rel=0.1)


def test_a_slow_mode_costs_ten_per_cent_and_is_as_rare_as_declared():
    ratios = suite(replace(SILENT, slow=0.05)).ratios
    assert set(np.unique(ratios.round(9))) == {round(log1p(0.1), 9), 0.0, round(-log1p(0.1), 9)}
    assert (ratios > 0).mean() == pytest.approx(0.05 * 0.95, rel=0.2)


def test_delayed_samples_make_a_time_longer_on_average():
    times = suite(replace(SILENT, delayed=0.9)).times
    assert times.mean() == pytest.approx(log(1 + 0.3 * log(2)), rel=0.3)  # about the median of the delays


def test_each_noise_is_greater_than_the_one_before():
    spread = [suite(noise).ratios.std() for noise in NOISES]
    assert spread == sorted(spread)
    assert spread[0] < 0.006 < 0.015 < spread[2]


def test_the_same_seed_draws_the_same_suite():
    assert (suite(QUIET).ratios == suite(QUIET).ratios).all()
    assert (suite(QUIET).ratios != suite(QUIET, seed=2).ratios).any()
