"""The statistics, against numbers worked out by hand, tables in print, and seeded simulations."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptxbench import stats
from ptxbench.result import Round

MINUTE_NS = 60_000_000_000
times = st.integers(1, MINUTE_NS)
log_ratios = st.lists(st.floats(-1, 1), min_size=1, max_size=30)


def round_of(ns, start="A", contrast=("cuda", "ptx"), number=0):
    return Round(number, number, contrast, start, ns)


# start, block of four, ln(B / A)
BLOCKS = [
    ("A", (100, 200, 200, 100), log(2)),        # A B B A: B takes twice as long
    ("B", (100, 200, 200, 100), -log(2)),       # B A A B: the same times, the letters exchanged
    ("A", (100, 100, 100, 100), 0.0),
    ("A", (100, 200, 50, 25), log(4) / 2),      # (ln 200 + ln 50 - ln 100 - ln 25) / 2
]  # fmt: skip


@pytest.mark.parametrize(("start", "ns", "expected"), BLOCKS)
def test_a_block_gives_the_log_ratio_worked_out_by_hand(start, ns, expected):
    assert stats.block_log_ratio(stats.letters(start), ns) == pytest.approx(expected, abs=1e-15)


# values, level, low, estimate, high: Walsh averages and rank by hand
HODGES_LEHMANN = [
    ([3.0], 0.99, 3.0, 3.0, 3.0),
    ([1.0, 3.0], 0.99, 1.0, 2.0, 3.0),                     # averages 1 2 3, rank 0
    ([0.0, 1.0, 5.0], 0.99, 0.0, 1.75, 5.0),               # averages 0 .5 1 2.5 3 5: the median of six
    ([1, 2, 3, 4, 5, 6, 7, 8], 0.95, 2.5, 4.5, 6.5),       # 36 averages, rank floor(18 - 1.96 * 7.141) = 4
]  # fmt: skip


@pytest.mark.parametrize(("values", "level", "low", "estimate", "high"), HODGES_LEHMANN)
def test_hodges_lehmann_gives_what_was_worked_out_by_hand(values, level, low, estimate, high):
    assert stats.hodges_lehmann(values, level) == stats.Interval(low, estimate, high)


# degrees of freedom, p, t to three places: the table of Student's distribution in any textbook
STUDENT = [
    (1, 0.99, 31.821),
    (2, 0.99, 6.965),
    (3, 0.99, 4.541),
    (4, 0.99, 3.747),
    (5, 0.975, 2.571),
    (9, 0.99, 2.821),
    (10, 0.95, 1.812),
    (30, 0.99, 2.457),
    (120, 0.99, 2.358),
]  # fmt: skip


@pytest.mark.parametrize(("df", "p", "t"), STUDENT)
def test_the_student_quantile_agrees_with_the_printed_table(df, p, t):
    assert stats.student_quantile(p, df) == pytest.approx(t, abs=5e-4)
    assert stats.student_quantile(1 - p, df) == pytest.approx(-t, abs=5e-4)


@given(log_ratios, st.floats(-1, 1))
def test_shifting_every_value_shifts_the_estimate_and_its_interval(values, shift):
    at, shifted = stats.hodges_lehmann(values), stats.hodges_lehmann([v + shift for v in values])
    for name in ("low", "value", "high"):
        assert getattr(shifted, name) == pytest.approx(getattr(at, name) + shift, abs=1e-12)


@given(log_ratios)
def test_the_estimate_lies_in_its_interval_and_the_interval_in_the_data(values):
    found = stats.hodges_lehmann(values)
    assert min(values) <= found.low <= found.value <= found.high <= max(values)


@given(log_ratios)
def test_a_lower_level_never_widens_the_interval(values):
    wide, narrow = stats.hodges_lehmann(values, 0.99), stats.hodges_lehmann(values, 0.9)
    assert wide.low <= narrow.low <= narrow.high <= wide.high


@given(st.lists(st.tuples(times, times, times, times), min_size=8, max_size=20), st.sampled_from("AB"))
def test_exchanging_the_two_kernels_inverts_the_ratio(blocks, start):
    forward = stats.ratio([round_of(blocks, start)], "ptx")
    swapped = round_of(blocks, "B" if start == "A" else "A", contrast=("ptx", "cuda"))
    backward = stats.ratio([swapped], "cuda", reference="ptx")
    assert log(forward.value) == pytest.approx(-log(backward.value), abs=1e-9)
    assert log(forward.low) == pytest.approx(-log(backward.high), abs=1e-9)


@given(times, st.floats(0.5, 2), st.floats(0, 0.01), st.sampled_from("AB"))
def test_a_drift_that_is_linear_in_the_logarithm_cancels_in_every_block(base, true_ratio, per_sample, start):
    order = stats.letters(start)
    clean = [log(base) + (log(true_ratio) if letter == "B" else 0) for letter in order]
    drifting = [exp(t + i * per_sample) for i, t in enumerate(clean)]
    assert stats.block_log_ratio(order, drifting) == pytest.approx(log(true_ratio), abs=1e-9)


def test_unpaired_medians_would_take_the_same_drift_for_a_difference():
    drifting = [1_000_000 * exp(i * 0.003) for i in range(160)]
    blocks = [drifting[i : i + 4] for i in range(0, 160, 4)]
    assert stats.ratio([round_of(blocks)], "ptx").value == pytest.approx(1, abs=1e-9)
    assert np.median(drifting[80:]) / np.median(drifting[:80]) > 1.2  # all of A, then all of B


@pytest.mark.parametrize("n", [8, 20, 40])
def test_the_99_percent_interval_covers_the_truth_about_99_times_in_100(n):
    rng = np.random.default_rng(n)
    trials = 2000
    hits = 0
    for _ in range(trials):
        noise = rng.normal(0, 0.006, n)
        # One block in a hundred has an outlier, in A or in B.
        noise += (rng.random(n) < 0.01) * rng.exponential(0.3, n) * rng.choice([-1, 1], n)
        found = stats.hodges_lehmann(0.01 + noise)
        hits += found.low <= 0.01 <= found.high
    assert 0.985 <= hits / trials <= 0.999


def test_pooling_alone_would_miss_differences_between_processes_and_the_hull_does_not():
    rng = np.random.default_rng(7)
    trials = 300
    pooled = hull = 0
    for _ in range(trials):
        rounds = [rng.normal(rng.normal(0, 0.003), 0.004, 40) for _ in range(5)]  # a shift per process
        alone, both = stats.hodges_lehmann(np.concatenate(rounds)), stats.run_interval(rounds)
        pooled += alone.low <= 0 <= alone.high
        hull += both.low <= 0 <= both.high
    assert pooled / trials < 0.8
    assert hull / trials >= 0.97


def test_samples_and_medians_are_sorted_by_variant_over_all_contrasts_and_starts():
    rounds = [
        round_of([[10, 20, 21, 11]], "A"),
        round_of([[30, 12, 13, 31]], "B", contrast=("cuda", "ptx.v4")),
    ]
    assert stats.samples(rounds, "cuda") == [10, 11, 12, 13]
    assert stats.samples(rounds, "ptx") == [20, 21]
    assert stats.median_ns(rounds, "ptx.v4") == 30.5
    assert stats.median_ns(rounds, "ptx.rows") is None


def test_too_few_blocks_give_no_ratio_rather_than_a_guess():
    block = [100, 200, 200, 100]
    assert stats.ratio([round_of([block] * 7)], "ptx") is None
    assert stats.ratio([round_of([block] * 8)], "ptx").value == pytest.approx(2)
    assert stats.ratio([], "ptx") is None
    assert stats.ratio([round_of([block] * 8)], "ptx.v4") is None


def test_rounds_of_one_contrast_are_pooled():
    rounds = [round_of([[100, 200, 200, 100]] * 4, number=0), round_of([[200, 100, 100, 200]] * 4, "B", number=1)]
    assert stats.ratio(rounds, "ptx") == stats.Interval(*[pytest.approx(2)] * 3)
