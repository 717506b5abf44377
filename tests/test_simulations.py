"""The promises of docs/measuring.md, by seeded simulation: order of samples, interval, stopping, verdict.

The noise is assumed, not measured: 0.6 % a sample, one in a hundred later by 30 % on average, and a clock that drifts
over the samples of a round. It compares methods with each other and does not predict a GPU. Each promise has a
counterexample that breaks it.
"""

from functools import cache
from itertools import accumulate

import numpy as np
import pytest
import scipy  # it loads scipy.stats, which takes most of a second, when a test uses it

from ptxbench import rival, stats
from ptxbench.result import Cell, LaunchReport, Round, VariantResult
from tests.quick import every

BLOCKS = 40
SAMPLE_SD = 0.006
TRUE = 0.01


def noise(rng, n):
    """ln of the time of n samples around the truth."""
    return rng.normal(0, SAMPLE_SD, n) + np.log1p((rng.random(n) < 0.01) * rng.exponential(0.3, n))


def steady(rng, n):
    return np.zeros(n)


def ramp(rng, n):
    """A clock that falls by 3 % over the round."""
    return np.linspace(0, 0.03, n)


def autoregressive(rng, n):
    """AR(1) of 1 % that forgets in some hundred samples."""
    phi, first = 0.99, rng.normal(0, 0.01)
    steps = rng.normal(0, 0.01 * np.sqrt(1 - phi**2), n).tolist()
    return np.array([*accumulate(steps[1:], lambda drift, step: phi * drift + step, initial=first)])


def steps(rng, n):
    """A clock that changes by 1.5 % now and then."""
    return np.cumsum((rng.random(n) < 0.02) * rng.choice([-0.015, 0.015], n))


def bimodal(rng, n):
    """A clock with two states 4 % apart that it keeps for some thirty samples."""
    return 0.04 * (np.cumsum(rng.random(n) < 1 / 30) % 2)


DRIFTS = [steady, ramp, autoregressive, steps, bimodal]


def log_ratios(order, times):
    """stats.block_log_ratio of each block, from ln of the times of all samples: for all at once it takes less time."""
    signs = np.where(np.array(list(order)) == "B", 0.5, -0.5)
    return np.add.reduceat(signs * times, range(0, len(order), 4)).tolist()


def test_the_log_ratios_of_these_simulations_are_those_of_measured_blocks():
    times = noise(np.random.default_rng(8), 12)
    blocks = [("ABBA", times[:4]), ("BAAB", times[4:8]), ("ABAB", times[8:])]
    measured = [stats.block_log_ratio(order, np.exp(block)) for order, block in blocks]
    assert log_ratios("ABBABAABABAB", times) == pytest.approx(measured, abs=1e-12)


def paired(rng, drift, blocks=BLOCKS, true=TRUE, order="ABBA"):
    """The log ratios of the blocks of a round."""
    n = len(order) * blocks
    letters = np.array(list(order * blocks))
    times = noise(rng, n) + drift(rng, n) + np.where(letters == "B", true, 0)
    return log_ratios(order * blocks, times)


def covers(interval, true=TRUE):
    return interval.low <= true <= interval.high


@pytest.mark.parametrize("drift", DRIFTS)
def test_the_95_percent_interval_covers_the_truth_under_every_drift(drift):
    rng = np.random.default_rng(1)
    trials = 1500
    hits = sum(covers(stats.hodges_lehmann(paired(rng, drift), 0.95)) for _ in range(trials))
    assert 0.93 <= hits / trials <= 0.975


@cache
def ranks_around_median(n):
    """Which of n values in order are the ends of the distribution-free 95 % interval of their median."""
    low, high = scipy.stats.quantile_test(range(n), q=n / 2, p=0.5).confidence_interval(0.95)
    return int(low), int(high)


def median_interval(times):
    return np.sort(times)[[*ranks_around_median(len(times))]]


@pytest.mark.parametrize("drift", [ramp, autoregressive, steps, bimodal])
def test_all_samples_of_one_kernel_before_the_other_do_not_cover_the_truth(drift):
    """Unpaired: the interval of B's median less that of A's, as wide as both together."""
    rng = np.random.default_rng(2)
    trials, hits = 400, 0
    for _ in range(trials):
        n = 4 * BLOCKS
        times = noise(rng, n) + drift(rng, n) + np.repeat([0, TRUE], n // 2)
        (a_low, a_high), (b_low, b_high) = map(median_interval, (times[: n // 2], times[n // 2 :]))
        hits += b_low - a_high <= TRUE <= b_high - a_low
    assert hits / trials < 0.9


def carried_over(rng, order_of_block, blocks, effect=0.005):
    """Estimates of two equal kernels where whatever follows B is slower by `effect`."""
    letters = "".join(order_of_block(i) for i in range(blocks))
    late = np.array([0.0, *(effect if letter == "B" else 0.0 for letter in letters[:-1])])
    return stats.hodges_lehmann(log_ratios(letters, noise(rng, len(letters)) + late)).value


def bias(order_of_block):
    rng = np.random.default_rng(3)
    return np.mean([carried_over(rng, order_of_block, BLOCKS) for _ in range(1500)])


def test_carry_over_does_not_bias_the_fixed_order():
    assert abs(bias(lambda i: "ABBA")) < 0.0002


def test_carry_over_biases_designs_that_are_not_fixed_and_balanced():
    letters = np.random.default_rng(4)
    assert bias(lambda i: "ABAB") < -0.004
    assert bias(lambda i: letters.choice(["ABBA", "BAAB"])) < -0.0008


def run_of(rng, true, between, drift=autoregressive, rounds=5):
    """The rounds of a run, each a process with its own shift, stopped by the width of the interval."""
    rounds_of_run = []
    for _ in range(rounds):
        shift = rng.normal(0, between)
        d = paired(rng, drift, stats.LOOKS[-1], true + shift)
        rounds_of_run.append(d[: next(n for n in stats.LOOKS if stats.stop_reason(d[:n], 0.0))])
    return rounds_of_run


@pytest.mark.parametrize(("between", "least_same"), every(2, [(0.0, 0.99), (0.003, 0.9)]))
def test_one_kernel_against_itself_is_never_called_faster_or_slower(between, least_same):
    rng = np.random.default_rng(5)
    trials = 400
    verdicts = [stats.verdict(stats.run_interval(run_of(rng, 0.0, between))) for _ in range(trials)]
    assert {"SLOWER", "FASTER"}.isdisjoint(verdicts)
    assert verdicts.count("SAME") / trials >= least_same


def test_a_difference_of_three_percent_is_found():
    rng = np.random.default_rng(6)
    verdicts = [stats.verdict(stats.run_interval(run_of(rng, 0.03, 0.003))) for _ in range(40)]
    assert verdicts.count("SLOWER") >= 38


def test_stopping_at_the_first_significance_would_call_equal_kernels_different():
    """The same looks, but ended by a result instead of by the width: one in eight equal pairs is a false alarm."""
    rng = np.random.default_rng(7)

    def significant(interval):
        return not covers(interval, 0.0)

    trials, false, kept = 200, 0, 0
    for _ in range(trials):
        d = paired(rng, autoregressive, stats.LOOKS[-3], 0.0)
        looks = [n for n in stats.LOOKS if n <= len(d)]
        false += any(significant(stats.hodges_lehmann(d[:n], 0.95)) for n in looks)
        ended = next((n for n in looks if stats.stop_reason(d[:n], 0.0)), looks[-1])
        kept += significant(stats.hodges_lehmann(d[:ended], 0.99))
    assert false / trials > 0.1
    assert kept / trials < 0.03


# ---- the best of several rows


def contest(rng, cuda, ptx, between=0.003, rounds=5, blocks=20):
    """A cell: each row is timed against `cuda` in blocks A B B A. `cuda`, `ptx`: true logarithms, cuda's own first."""
    times = {f"cuda.{i}" if i else "cuda": time for i, time in enumerate(cuda)}
    times |= {f"ptx.{i}" if i else "ptx": time for i, time in enumerate(ptx)}
    rounds_of_cell = []
    for number in range(rounds):
        shifted = {name: time + rng.normal(0, between) for name, time in times.items()}
        for name in list(times)[1:]:
            letters = np.array([shifted["cuda"], shifted[name], shifted[name], shifted["cuda"]])
            ns = np.round(1e6 * np.exp(letters + noise(rng, 4 * blocks).reshape(blocks, 4))).astype(int)
            rounds_of_cell.append(Round(number, number, ("cuda", name), "A", ns.tolist()))
    variants = {name: VariantResult(name.split(".")[0], "verified") for name in times}
    return Cell("k", {"n": 1}, "sm_90", LaunchReport((1, 1, 1), (1, 1, 1)), {"flops": 1, "bytes": 1}, variants,
                rounds=rounds_of_cell)  # fmt: skip


MARGIN = np.log1p(0.01)
FALSE = [
    ("SLOWER", [0.0] * 4, [MARGIN]),       # four equal rows: the least estimate lies below the truth
    ("FASTER", [0.0], [-MARGIN] * 4),      # four equal PTX: a reader picks the one that is called FASTER
    ("FASTER", [0.0, 0.0], [-MARGIN] * 2),
]  # fmt: skip


@cache
def false_claims(claim, cuda, ptx, trials=160, seed=8):
    """The share of cells in which a row just at the margin gets the claim: with the intervals of a choice, without."""
    rng, claimed, naive = np.random.default_rng(seed), 0, 0
    for _ in range(trials):
        cell = contest(rng, cuda, ptx)
        best = rival.rival_of(cell)
        rows = rival.verified_rows(cell, "ptx")
        claimed += any(rival.verdict(cell, name, best, None) == claim for name in rows)
        ratios = [stats.ratio_between(cell.rounds, name, best.name) for name in rows]
        naive += any(stats.verdict(ratio.log()) == claim for ratio in ratios)
    return claimed / trials, naive / trials


@pytest.mark.parametrize(("claim", "cuda", "ptx"), every(3, FALSE))
def test_a_claim_against_the_best_of_several_rows_is_false_at_most_once_in_a_hundred(claim, cuda, ptx):
    claimed, _ = false_claims(claim, tuple(cuda), tuple(ptx))
    assert claimed <= 0.02  # 3 of 160 where the level allows 1.6


def test_the_interval_of_one_comparison_would_make_more_false_claims():
    claim, cuda, ptx = FALSE[0]
    assert false_claims(claim, tuple(cuda), tuple(ptx))[1] > 0.02


def test_a_ptx_that_is_faster_than_every_cuda_c_is_found():
    rng = np.random.default_rng(9)
    cells = [contest(rng, [0.0, -0.02, 0.01], [-0.06, -0.01]) for _ in range(20)]
    verdicts = [rival.verdict(cell, "ptx", rival.rival_of(cell), None) for cell in cells]
    assert verdicts.count("FASTER") >= 19
    assert all(rival.rival_of(cell).name == "cuda.1" for cell in cells)
    assert "FASTER" not in [rival.verdict(cell, "ptx.1", rival.rival_of(cell), None) for cell in cells]


def test_a_ratio_of_two_rows_that_were_timed_against_a_third_covers_the_truth():
    rng = np.random.default_rng(10)
    trials = 200
    ratios = [stats.ratio_between(contest(rng, [0.0, 0.01], [0.03]).rounds, "ptx", "cuda.1") for _ in range(trials)]
    assert sum(covers(ratio.log(), 0.02) for ratio in ratios) / trials >= 0.97
    assert max(ratio.high - ratio.low for ratio in ratios) < 0.06
