"""Samples become an estimate with an interval. Pure: numbers in, numbers out; knows only Round.

A block is four samples of two kernels in the order A B B A (or B A A B), so that any drift that is linear over the
block cancels. All arithmetic is on natural logarithms; a ratio is B / A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, floor, fsum, hypot, log, log1p, sqrt
from statistics import NormalDist, fmean, mean, median, stdev
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ptxbench.result import Round

LEVEL = 0.99

FEWEST_BLOCKS = 8
"""The probability that n blocks are all on one side of the true value is 2 / 2**n; 8 is the first n with less than 1 %.
"""


LOOKS = (20, 30, 45, 68, 102, 153, 230, 345, 400)
"""Blocks after which a round checks whether it has enough: few looks, and the same for every kernel."""

HALF_WIDTH = 0.0025
"""The width of the interval of a log ratio, at LEVEL, at which a round stops."""

LIMIT_SECONDS = 10.0


@dataclass(frozen=True)
class Interval:
    """An estimate, with an interval that covers the true value at a given level."""

    low: float
    value: float
    high: float

    def exp(self) -> Interval:
        """The ratio of a log ratio."""
        return Interval(exp(self.low), exp(self.value), exp(self.high))

    def log(self) -> Interval:
        """The log ratio of a ratio."""
        return Interval(log(self.low), log(self.value), log(self.high))

    def inverse(self) -> Interval:
        """The ratio of B to A of a ratio of A to B."""
        return Interval(1 / self.high, 1 / self.value, 1 / self.low)


def letters(start: str) -> str:
    """The order of a block's four samples: A B B A, or B A A B if B starts."""
    return {"A": "ABBA", "B": "BAAB"}[start]


def block_log_ratio(order: str, ns: Sequence[int]) -> float:
    """ln(t_B / t_A) of one block: the mean of its logs of B minus the mean of its logs of A."""
    total = {"A": 0.0, "B": 0.0}
    for letter, t in zip(order, ns, strict=True):
        total[letter] += log(t)
    return (total["B"] - total["A"]) / 2


def hodges_lehmann(values: ArrayLike, level: float = LEVEL) -> Interval:
    """The median of all Walsh averages (d_i + d_j) / 2, i <= j, and its distribution-free interval.

    The ends are order statistics of those averages; their rank is the normal approximation of the Wilcoxon
    signed-rank statistic, mean n (n + 1) / 4, variance n (n + 1) (2 n + 1) / 24 (Hollander and Wolfe,
    Nonparametric Statistical Methods, 3.2 and 3.3). With few values the rank stops at the extremes, whose
    level is lower than requested: see FEWEST_BLOCKS.
    """
    return walsh_interval(tuple(np.asarray(values, np.float64).tolist()), level)


@lru_cache(maxsize=512)
def walsh_interval(values: tuple[float, ...], level: float) -> Interval:
    """`hodges_lehmann`, cached because a comparison with the best of several rows needs each row's several times."""
    d = np.array(values)
    n = len(d)
    averages = np.concatenate([(d[i] + d[i:]) / 2 for i in range(n)])
    z = NormalDist().inv_cdf(0.5 + level / 2)
    k = max(0, floor(n * (n + 1) / 4 - z * sqrt(n * (n + 1) * (2 * n + 1) / 24)))
    last = len(averages) - 1
    ranks = (k, last // 2, (last + 1) // 2, last - k)
    # Sorting all of them would take several times as long.
    low, left, right, high = np.partition(averages, ranks)[list(ranks)]
    return Interval(float(low), float((left + right) / 2), float(high))


def stop_reason(
    log_ratios: Sequence[float],
    seconds: float,
    *,
    since: int | None = None,
    looks: Sequence[int] = LOOKS,
    half_width: float = HALF_WIDTH,
    limit_seconds: float = LIMIT_SECONDS,
    few_seconds: float = 60.0,
) -> str | None:
    """Why a round of these blocks, `seconds` long, ends: "width" or "limit"; None if it goes on.

    It looks only at the `looks` beyond the `since` blocks of the last look, and ends at the last of them. It also ends
    after `limit_seconds` if it has the blocks of the first look, and after `few_seconds` in any case.

    It stops for the width of its interval, never for its position: stopping at the first significant result
    would call many equal kernels different (tests/test_simulations.py).
    """
    n = len(log_ratios)
    if any((n - 1 if since is None else since) < look <= n for look in looks):
        estimate = hodges_lehmann(log_ratios)
        if (estimate.high - estimate.low) / 2 <= half_width:
            return "width"
    late = seconds >= limit_seconds and n >= looks[0]
    return "limit" if n >= looks[-1] or late or seconds >= few_seconds else None


def student_quantile(p: float, df: float) -> float:
    """The t below which Student's distribution has probability `p`; `df` need not be whole."""
    from scipy.special import stdtrit

    return float(stdtrit(df, p))


def student_tail(t: float, df: float) -> float:
    """The probability above `t` of Student's distribution."""
    from scipy.special import stdtr

    return float(stdtr(df, -t))


def run_interval(rounds: Sequence[ArrayLike], level: float = LEVEL) -> Interval:
    """The log ratio of several rounds, each a list of block log ratios.

    The value is the mean of the rounds' Hodges-Lehmann estimates. The interval is the hull of the pooled
    signed-rank interval (noise inside processes) and, from three rounds on, of the t interval of the rounds'
    estimates with one-sided ends at `level` (differences between processes).
    """
    estimates = [hodges_lehmann(logs, level).value for logs in rounds]
    pooled = hodges_lehmann(np.concatenate([np.asarray(logs, np.float64) for logs in rounds]), level)
    value = mean(estimates)
    half = 0.0
    if len(estimates) >= 3:
        half = student_quantile(level, len(estimates) - 1) * stdev(estimates) / sqrt(len(estimates))
    return Interval(min(pooled.low, value - half), value, max(pooled.high, value + half))


def difference_interval(ones: Sequence[ArrayLike], others: Sequence[ArrayLike], level: float = LEVEL) -> Interval:
    """The log ratio of two kernels that were each measured against a third one, in the same rounds.

    As `run_interval`: from three rounds on the t interval of the rounds' differences, and in any case the interval of
    the pooled blocks. That one combines the two signed-rank intervals, whose blocks are independent, by their
    distances from the estimates (Zou and Donner, Statistics in Medicine 27, 2008).
    """
    one, other = (hodges_lehmann(np.concatenate([np.asarray(logs) for logs in side]), level) for side in (ones, others))
    middle = one.value - other.value
    low = middle - hypot(one.value - one.low, other.high - other.value)
    high = middle + hypot(one.high - one.value, other.value - other.low)
    differences = [
        hodges_lehmann(a, level).value - hodges_lehmann(b, level).value for a, b in zip(ones, others, strict=True)
    ]
    value = mean(differences)
    half = 0.0
    if len(differences) >= 3:
        half = student_quantile(level, len(differences) - 1) * stdev(differences) / sqrt(len(differences))
    return Interval(min(low, value - half), value, max(high, value + half))


@dataclass(frozen=True)
class Effect:
    """A change of logarithms: `value`, the difference of medians; one-sided bounds; `p` of "no more than the guard"."""

    low: float
    value: float
    high: float
    p: float


def effect(head: Sequence[float], base: Sequence[float], *, guard: float = 0.0, level: float = LEVEL) -> Effect:
    """How far `head` is above `base`. Each has one logarithm per round, and at least two rounds.

    Bounds and p by Welch's t with the degrees of freedom of Satterthwaite (Welch, Biometrika 34, 1947): `low` and
    `high` each hold the true mean difference with probability `level`; p is the probability of a mean difference as
    great as this if the true one is `guard`. Rounds without spread give the exact difference as both bounds.
    """
    (head_mean, head_variance), (base_mean, base_variance) = moments(head), moments(base)
    parts = head_variance / len(head), base_variance / len(base)
    error = sqrt(sum(parts))
    difference = head_mean - base_mean
    value = median(head) - median(base)
    if error == 0:
        return Effect(difference, value, difference, 0.0 if difference > guard else 1.0)
    df = sum(parts) ** 2 / (parts[0] ** 2 / (len(head) - 1) + parts[1] ** 2 / (len(base) - 1))
    return bounded(difference, value, error, df, guard, level)


def paired_effect(differences: Sequence[float], *, guard: float = 0.0, level: float = LEVEL) -> Effect:
    """The effect of head minus base in rounds that had both, by Student's one-sample t."""
    difference, spread = moments(differences)
    error, value = sqrt(spread / len(differences)), median(differences)
    if error == 0:
        return Effect(difference, value, difference, 0.0 if difference > guard else 1.0)
    return bounded(difference, value, error, len(differences) - 1, guard, level)


def moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and variance of a sample of at least two; the variance is exactly 0 if all are equal.

    Relative to the first value, so that equal values leave nothing to round. The fractions of `statistics` would do
    too, in ten times the time, and an audit of the gate calls this some million times.
    """
    first = values[0]
    offsets = [value - first for value in values]
    middle = fmean(offsets)
    return first + middle, fsum((value - middle) ** 2 for value in offsets) / (len(offsets) - 1)


def bounded(difference: float, value: float, error: float, df: float, guard: float, level: float) -> Effect:
    reach = student_quantile(level, df) * error
    return Effect(difference - reach, value, difference + reach, student_tail((difference - guard) / error, df))


def holm(probabilities: Sequence[float]) -> list[float]:
    """Each p value, adjusted for their number: the probability that any of them is at most alpha is at most alpha.

    Step down: the smallest times n, the next times n - 1, ..., each at least the one before (Holm, Scandinavian Journal
    of Statistics 6, 1979).
    """
    n = len(probabilities)
    adjusted, greatest = [0.0] * n, 0.0
    for rank, i in enumerate(sorted(range(n), key=lambda i: probabilities[i])):
        greatest = max(greatest, min(1.0, probabilities[i] * (n - rank)))
        adjusted[i] = greatest
    return adjusted


def verdict(log_ratio: Interval, noise: Interval | None = None, margin: float = 0.01) -> str:
    """FASTER, SLOWER, SAME or INCONCLUSIVE: a variant against the reference, from the interval of its log ratio.

    A claim must clear the margin and the ends of `noise`, the interval of one kernel measured against itself.
    """
    least = log1p(margin)
    claim = max(least, abs(noise.low), abs(noise.high)) if noise else least
    if log_ratio.low > claim:
        return "SLOWER"
    if log_ratio.high < -claim:
        return "FASTER"
    return "SAME" if -least < log_ratio.low and log_ratio.high < least else "INCONCLUSIVE"


def counted_blocks(part: Round) -> list[Sequence[int]]:
    """The blocks of a round that count, without those that were dropped because of the device's clock."""
    return [block for index, block in enumerate(part.ns) if str(index) not in part.dropped]


def block_log_ratios(part: Round) -> list[float]:
    """ln(t_B / t_A) of each block of a round that counts."""
    order = letters(part.start)
    return [block_log_ratio(order, block) for block in counted_blocks(part)]


def samples(rounds: Sequence[Round], variant: str) -> list[int]:
    """Every sample of `variant` that counts, in nanoseconds, in the order in which they were taken."""
    return [
        t
        for part in rounds
        for block in counted_blocks(part)
        for letter, t in zip(letters(part.start), block, strict=True)
        if part.contrast["AB".index(letter)] == variant
    ]


def median_ns(rounds: Sequence[Round], variant: str) -> float | None:
    """The median device time of `variant` in nanoseconds; None if it was never timed."""
    times = samples(rounds, variant)
    return float(median(times)) if times else None


def ratio(rounds: Sequence[Round], variant: str, reference: str = "cuda", level: float = LEVEL) -> Interval | None:
    """t(variant) / t(reference) with its interval; None if the rounds do not allow one.

    That is, if no round has both, or all rounds together have fewer than FEWEST_BLOCKS blocks.
    """
    series_of_blocks: list[Any] = [block_log_ratios(part) for part in rounds if part.contrast == (reference, variant)]
    if sum(map(len, series_of_blocks)) < FEWEST_BLOCKS:
        return None
    return run_interval([blocks for blocks in series_of_blocks if blocks], level).exp()


def ratio_between(
    rounds: Sequence[Round], variant: str, other: str, reference: str = "cuda", level: float = LEVEL
) -> Interval | None:
    """t(variant) / t(other), from the blocks that each has with the reference; None if the rounds do not allow one."""
    if other == reference:
        return ratio(rounds, variant, reference, level)
    if variant == reference:
        interval = ratio(rounds, other, reference, level)
        return interval and interval.inverse()
    ones, others = (blocks_by_round(rounds, name, reference) for name in (variant, other))
    common = sorted(ones.keys() & others.keys())
    variant_blocks, other_blocks = ([side[number] for number in common] for side in (ones, others))
    if min(sum(map(len, variant_blocks)), sum(map(len, other_blocks))) < FEWEST_BLOCKS:
        return None
    return difference_interval(variant_blocks, other_blocks, level).exp()


def blocks_by_round(rounds: Sequence[Round], variant: str, reference: str) -> dict[int, list[float]]:
    """The log ratios of the blocks of each round that has both, by its number."""
    result: dict[int, list[float]] = {}
    for part in rounds:
        if part.contrast == (reference, variant) and (logs := block_log_ratios(part)):
            result.setdefault(part.round, []).extend(logs)
    return result


def round_log_ratios(rounds: Sequence[Round], variant: str, reference: str = "cuda") -> list[float]:
    """ln(t(variant) / t(reference)) in each round that has both, in order: the unit for comparing runs."""
    return [
        hodges_lehmann([value for part in parts for value in block_log_ratios(part)]).value
        for parts in by_round([part for part in rounds if part.contrast == (reference, variant)])
    ]


def round_medians_ns(rounds: Sequence[Round], variant: str) -> list[float]:
    """The median time of `variant` in each round that has it, in nanoseconds, in order."""
    return [
        float(median(samples(parts, variant)))
        for parts in by_round([part for part in rounds if variant in part.contrast])
    ]


def by_round(rounds: Sequence[Round]) -> list[list[Round]]:
    """The parts of each round with blocks that count; if a worker died, its round has two parts."""
    rounds_by_number: dict[int, list[Round]] = {}
    for part in rounds:
        if counted_blocks(part):
            rounds_by_number.setdefault(part.round, []).append(part)
    return [parts for _, parts in sorted(rounds_by_number.items())]
