"""The statistics, against numbers worked out by hand, tables in print, and seeded simulations."""

from dataclasses import replace
from math import exp, log, log1p

import numpy as np
import pytest
import scipy  # it loads scipy.stats, which takes most of a second, when a test uses it
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
def test_hodges_lehmann_matches_a_calculation_by_hand(values, level, low, estimate, high):
    assert stats.hodges_lehmann(values, level) == stats.Interval(low, estimate, high)


# ---- against SciPy


samples = st.lists(st.floats(-0.1, 0.1).map(lambda x: round(x, 6)), min_size=9, max_size=60, unique=True)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
@given(samples)
def test_the_signed_rank_interval_ends_where_scipys_test_begins_to_reject(level, values):
    interval = stats.hodges_lehmann(values, level)

    def p(shift):
        return scipy.stats.wilcoxon(np.array(values) - shift, method="asymptotic", correction=False).pvalue

    for end, outwards in ((interval.low, -1e-9), (interval.high, 1e-9)):
        assert p(end + outwards) < 1 - level + 1e-12
        if interval.low < interval.high - 1e-6:
            assert p(end - outwards) >= 1 - level - 1e-12


@given(st.floats(0.001, 0.999), st.floats(1, 200))
def test_student_is_scipys(p, df):
    assert stats.student_quantile(p, df) == pytest.approx(scipy.stats.t.ppf(p, df), rel=1e-9, abs=1e-9)
    assert stats.student_tail(stats.student_quantile(p, df), df) == pytest.approx(1 - p, rel=1e-9)


rounds = st.lists(st.floats(-0.1, 0.1).map(lambda x: round(x, 6)), min_size=2, max_size=12, unique=True)


@given(rounds, rounds, st.floats(-0.05, 0.05))
def test_the_effect_of_two_runs_is_welchs(head, base, guard):
    effect = stats.effect(head, base, guard=guard)
    reference = scipy.stats.ttest_ind(np.array(head) - guard, base, equal_var=False, alternative="greater")
    assert effect.p == pytest.approx(reference.pvalue, rel=1e-6, abs=1e-12)
    assert effect.low - guard == pytest.approx(reference.confidence_interval(0.99).low, rel=1e-6, abs=1e-9)
    less = scipy.stats.ttest_ind(head, base, equal_var=False, alternative="less")
    assert effect.high == pytest.approx(less.confidence_interval(0.99).high, rel=1e-6, abs=1e-9)
    assert effect.value == pytest.approx(np.median(head) - np.median(base))


@given(rounds, st.floats(-0.05, 0.05))
def test_the_effect_of_paired_rounds_is_students(differences, guard):
    effect = stats.paired_effect(differences, guard=guard)
    reference = scipy.stats.ttest_1samp(differences, guard, alternative="greater")
    assert effect.p == pytest.approx(reference.pvalue, rel=1e-6, abs=1e-12)
    assert effect.low == pytest.approx(reference.confidence_interval(0.99).low, rel=1e-6, abs=1e-9)


def test_rounds_without_spread_give_an_interval_of_no_width():
    assert stats.effect([0.1, 0.1], [0.0, 0.0], guard=0.05) == stats.Effect(0.1, 0.1, 0.1, 0.0)
    assert stats.effect([0.1, 0.1], [0.0, 0.0], guard=0.1).p == 1.0
    assert stats.paired_effect([0.0] * 5) == stats.Effect(0.0, 0.0, 0.0, 1.0)
    # 0.1 + 0.1 + 0.1 is not 3 * 0.1: a rounding error is not spread
    assert stats.effect([0.1] * 3, [0.0] * 7, guard=0.05) == stats.Effect(0.1, 0.1, 0.1, 0.0)
    assert stats.moments([0.1] * 3) == (0.1, 0.0)


# p values, and adjusted by Holm's procedure by hand
HOLM = [
    ([0.01], [0.01]),
    ([0.01, 0.04], [0.02, 0.04]),
    ([0.04, 0.01, 0.03], [0.06, 0.03, 0.06]),     # 0.01 * 3, 0.03 * 2, and 0.04 * 1 no smaller than that
    ([0.7, 0.6], [1.0, 1.0]),                     # no probability exceeds 1
    ([], []),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "adjusted"), HOLM)
def test_holm_adjusts_as_worked_out_by_hand(raw, adjusted):
    assert stats.holm(raw) == pytest.approx(adjusted)


MARGIN = log1p(0.01)

# low, high (of the log ratio), low, high of the noise, verdict
VERDICTS = [
    (0.012,  0.03,   None,           "SLOWER"),
    (-0.03,  -0.012, None,           "FASTER"),
    (-0.005, 0.005,  None,           "SAME"),
    (0.005,  0.015,  None,           "INCONCLUSIVE"),    # astride the margin
    (-0.02,  0.02,   None,           "INCONCLUSIVE"),
    (0.012,  0.03,   (-0.02, 0.01),  "INCONCLUSIVE"),    # one kernel against itself differs by more
    (0.022,  0.03,   (-0.02, 0.01),  "SLOWER"),
    (-0.005, 0.005,  (-0.02, 0.01),  "SAME"),
    (-0.03,  -0.012, (-0.01, 0.02),  "INCONCLUSIVE"),
    (-0.03,  -0.022, (-0.01, 0.02),  "FASTER"),
    (0.005,  0.03,   (-0.001, 0.001), "INCONCLUSIVE"),   # little noise does not make the margin smaller
    (-0.03,  -0.005, (-0.001, 0.001), "INCONCLUSIVE"),
    (0.005,  0.008,  (-0.001, 0.001), "SAME"),
    (-0.015, 0.005,  (-0.02, 0.02),  "INCONCLUSIVE"),    # much noise does not make it greater
    (-0.005, 0.015,  (-0.02, 0.02),  "INCONCLUSIVE"),
    (0.00996, 0.03,  None,           "SLOWER"),    # ln 1.01 is 0.00995
    (0.0,     MARGIN, None,          "INCONCLUSIVE"),    # the margin itself is no longer the same speed
    (-MARGIN, 0.0,   None,           "INCONCLUSIVE"),
]  # fmt: skip


@pytest.mark.parametrize(("low", "high", "noise", "expected"), VERDICTS)
def test_a_verdict_needs_the_whole_interval_beyond_the_margin_and_the_noise(low, high, noise, expected):
    noise = noise and stats.Interval(noise[0], 0, noise[1])
    assert stats.verdict(stats.Interval(low, (low + high) / 2, high), noise) == expected


# ---- properties


@given(log_ratios, st.floats(-1, 1))
def test_shifting_every_value_shifts_the_estimate_and_its_interval(values, shift):
    estimate, shifted = stats.hodges_lehmann(values), stats.hodges_lehmann([v + shift for v in values])
    for name in ("low", "value", "high"):
        assert getattr(shifted, name) == pytest.approx(getattr(estimate, name) + shift, abs=1e-12)


@given(log_ratios)
def test_the_estimate_lies_in_its_interval_and_the_interval_in_the_data(values):
    interval = stats.hodges_lehmann(values)
    assert min(values) <= interval.low <= interval.value <= interval.high <= max(values)


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


def test_unpaired_medians_would_show_the_same_drift_as_a_difference():
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
        interval = stats.hodges_lehmann(0.01 + noise)
        hits += interval.low <= 0.01 <= interval.high
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


# Of 20 values, half at -x and half at x, the interval goes from -x to x.
NARROW, WIDE = ([-x, x] * 10 for x in (stats.HALF_WIDTH, 1.01 * stats.HALF_WIDTH))

# log ratios, seconds, the last look, reason
STOPS = [
    (NARROW,      1,  None, "width"),    # exactly as narrow as it must be
    (WIDE,        1,  None, None),
    (NARROW[1:],  1,  None, None),       # 19 blocks are no look
    ([*NARROW, 0],  1,  None, None),     # nor are 21
    ([*NARROW, 0],  1,  19, "width"),    # but there was one since the last
    ([*NARROW, 0],  1,  20, None),
    (WIDE,       20,  None, "limit"),    # the limit of time, with the blocks of the first look
    (WIDE[1:],   20,  None, None),
    (WIDE[1:],   60,  None, "limit"),    # with fewer blocks too
    (range(399),  1,  None, None),
    (range(400),  1,  None, "limit"),    # the last look
]  # fmt: skip


@pytest.mark.parametrize(("logs", "seconds", "since", "reason"), STOPS)
def test_a_round_ends_for_the_width_of_its_interval_or_at_a_limit(logs, seconds, since, reason):
    assert stats.stop_reason(logs, seconds, since=since, limit_seconds=20) == reason


def test_an_interval_is_inverted_and_becomes_a_log_ratio_at_both_ends():
    interval = stats.Interval(0.5, 1.0, 4.0)
    assert interval.inverse() == stats.Interval(0.25, 1.0, 2.0)
    assert interval.log() == stats.Interval(-log(2), 0.0, log(4))
    assert interval.log().exp() == stats.Interval(*map(pytest.approx, (0.5, 1.0, 4.0)))


def test_two_rounds_give_the_interval_of_their_pooled_blocks():
    rounds = [[0.0] * 10, [0.01] * 10]
    pooled = stats.hodges_lehmann([*rounds[0], *rounds[1]])
    assert stats.run_interval(rounds) == stats.Interval(pooled.low, pytest.approx(0.005), pooled.high)
    difference = stats.difference_interval(rounds, rounds)
    assert (difference.low, difference.high) == (pytest.approx(-difference.high), pytest.approx(-difference.low))
    assert difference.high < 0.02


def test_three_rounds_that_differ_give_students_interval_with_one_sided_ends():
    rounds, third = [[0.0] * 10, [0.01] * 10, [0.02] * 10], [[0.0] * 10] * 3
    half = scipy.stats.t.ppf(stats.LEVEL, 2) * 0.01 / 3**0.5
    expected = stats.Interval(*map(pytest.approx, (0.01 - half, 0.01, 0.01 + half)))
    assert stats.run_interval(rounds) == stats.difference_interval(rounds, third) == expected


def test_against_a_kernel_without_noise_the_interval_of_a_difference_is_that_of_the_other():
    skewed, calm = [[0.01] * 12 + [0.06] * 8], [[0.0] * 20]
    own = stats.hodges_lehmann(skewed[0])
    assert own.low > 0
    assert own.value - own.low != pytest.approx(own.high - own.value)
    ends = own.low, own.value, own.high
    assert stats.difference_interval(skewed, calm) == stats.Interval(*map(pytest.approx, ends))
    assert stats.difference_interval(calm, skewed) == stats.Interval(*(pytest.approx(-end) for end in reversed(ends)))


def test_each_round_counts_as_much_as_another_in_a_difference():
    ones, others = [[0.0] * 10, [0.03] * 30], [[0.0] * 10, [0.0] * 30]
    assert stats.difference_interval(ones, others).value == pytest.approx(0.015)


def test_too_few_blocks_give_no_ratio_rather_than_a_guess():
    block = [100, 200, 200, 100]
    assert stats.ratio([round_of([block] * 7)], "ptx") is None
    assert stats.ratio([round_of([block] * 8)], "ptx").value == pytest.approx(2)
    dropped = replace(round_of([[100, 300, 300, 100]], number=1), dropped={"0": "clock"})
    assert stats.ratio([round_of([block] * 8), dropped], "ptx").value == pytest.approx(2)
    assert stats.ratio([], "ptx") is None
    assert stats.ratio([round_of([block] * 8)], "ptx.v4") is None


def test_rounds_of_one_contrast_are_pooled():
    rounds = [round_of([[100, 200, 200, 100]] * 4, number=0), round_of([[200, 100, 100, 200]] * 4, "B", number=1)]
    assert stats.ratio(rounds, "ptx") == stats.Interval(*[pytest.approx(2)] * 3)


def test_dropped_blocks_are_never_counted():
    counted = [[10, 20, 20, 10]] * 9
    with_dropped = replace(round_of([*counted, [99, 20, 20, 99]]), dropped={"9": "clock"})
    assert stats.samples([with_dropped], "cuda") == [10] * 18
    assert stats.block_log_ratios(with_dropped) == [pytest.approx(log(2))] * 9


def test_a_round_in_several_parts_gives_one_ratio_and_one_median():
    block, slower = [100, 200, 200, 100], [100, 400, 400, 100]
    rounds = [round_of([slower] * 3, number=1), round_of([block] * 2), round_of([block] * 3), round_of([], number=2)]
    assert stats.round_log_ratios(rounds, "ptx") == [pytest.approx(log(2)), pytest.approx(log(4))]
    assert stats.round_medians_ns(rounds, "ptx") == [200, 400]
    assert stats.round_medians_ns(rounds, "cuda") == [100, 100]
    assert stats.round_log_ratios(rounds, "ptx.v4") == stats.round_medians_ns(rounds, "ptx.v4") == []


def rounds_of(**ns):
    """Three rounds in which each row takes so many nanoseconds, and `cuda` 1000, without noise."""
    return [
        Round(number, number, ("cuda", name), "A", [[1000, t, t, 1000]] * 10)
        for number in range(3)
        for name, t in ns.items()
    ]


def test_two_rows_are_compared_by_the_blocks_that_each_has_with_a_third():
    rounds = rounds_of(fast=900, ptx=810)
    assert stats.ratio_between(rounds, "ptx", "cuda") == stats.ratio(rounds, "ptx")
    assert stats.ratio_between(rounds, "cuda", "fast").value == pytest.approx(1 / 0.9)
    assert stats.ratio_between(rounds, "ptx", "fast").value == pytest.approx(0.9)
    assert stats.ratio_between(rounds, "ptx", "gone") is None
    halves = [timed_round for timed_round in rounds if (timed_round.round == 0) == ("fast" in timed_round.contrast)]
    assert stats.ratio_between(halves, "ptx", "fast") is None  # no round has both
    few, enough = ([replace(part, ns=part.ns[:blocks]) for part in rounds if part.round == 0] for blocks in (7, 8))
    assert stats.ratio_between(few, "ptx", "fast") is None
    assert stats.ratio_between(enough, "ptx", "fast").value == pytest.approx(0.9)
    for one, other in (("ptx", "fast"), ("fast", "ptx")):
        mixed = [part for part in (*few, *enough) if (part in few) == (one in part.contrast)]
        assert stats.ratio_between(mixed, one, other) is None
    parts = [replace(part, ns=part.ns[:4]) for part in (*enough, *enough)]  # a worker died in the middle
    assert stats.ratio_between(parts, "ptx", "fast").value == pytest.approx(0.9)


def test_the_interval_of_two_such_rows_is_as_wide_as_both_together():
    rng = np.random.default_rng(3)
    one, other = (rng.normal(0, spread, (3, 40)) for spread in (0.003, 0.004))
    widths = [stats.run_interval(list(logs)) for logs in (one, other)]
    both = stats.difference_interval(list(one), list(other))
    assert both.low < both.value < both.high
    assert both.high - both.low >= max(interval.high - interval.low for interval in widths)
