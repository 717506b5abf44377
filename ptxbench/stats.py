"""How samples become an estimate with an interval. Pure: numbers in, numbers out; knows Round and nothing else.

A block is four samples of two kernels in the order A B B A (or B A A B), so that any drift that is linear over
the block cancels. All arithmetic is on natural logarithms; a ratio is B / A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan, cos, exp, floor, log, pi, sin, sqrt
from statistics import NormalDist, mean, median, stdev
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ptxbench.result import Round

LEVEL = 0.99

FEWEST_BLOCKS = 8
"""Of n blocks, all lie on one side of the true value with probability 2 / 2**n; 8 is the first n under 1 %."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the interval that covers the true value at the level of its making."""

    low: float
    value: float
    high: float

    def exp(self) -> Interval:
        """Of a log ratio, the ratio."""
        return Interval(exp(self.low), exp(self.value), exp(self.high))


def letters(start: str) -> str:
    """The order of a block's four samples: A B B A, or B A A B where B starts."""
    return {"A": "ABBA", "B": "BAAB"}[start]


def block_log_ratio(order: str, ns: Sequence[int]) -> float:
    """ln(t_B / t_A) of one block: the mean of its logs of B less the mean of its logs of A."""
    total = {"A": 0.0, "B": 0.0}
    for letter, t in zip(order, ns, strict=True):
        total[letter] += log(t)
    return (total["B"] - total["A"]) / 2


def hodges_lehmann(values: ArrayLike, level: float = LEVEL) -> Interval:
    """The median of all Walsh averages (d_i + d_j) / 2, i <= j, and its distribution-free interval.

    The ends are order statistics of those averages; their rank is the normal approximation of the Wilcoxon
    signed-rank statistic, mean n (n + 1) / 4, variance n (n + 1) (2 n + 1) / 24 (Hollander and Wolfe,
    Nonparametric Statistical Methods, 3.2 and 3.3). With few values the rank stops at the extremes, whose
    level is lower than asked: see FEWEST_BLOCKS.
    """
    d = np.asarray(values, np.float64)
    n = len(d)
    i, j = np.triu_indices(n)
    walsh = np.sort((d[i] + d[j]) / 2)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    k = max(0, floor(n * (n + 1) / 4 - z * sqrt(n * (n + 1) * (2 * n + 1) / 24)))
    return Interval(float(walsh[k]), float(np.median(walsh)), float(walsh[len(walsh) - 1 - k]))


def student_cdf(t: float, df: int) -> float:
    """Student's t distribution function for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    theta = atan(t / sqrt(df))
    square = cos(theta) ** 2
    if df % 2:
        # The sum is empty for df = 1: the Cauchy distribution.
        within = theta + (sin(theta) * cos(theta) * series(square, df // 2, 2) if df > 1 else 0.0)
        return 0.5 + within / pi
    return 0.5 + sin(theta) * series(square, df // 2, 1) / 2


def series(square: float, terms: int, first: int) -> float:
    """1 + f/(f+1) s + f (f+2) / ((f+1) (f+3)) s**2 + ..., `terms` of them."""
    total = term = 1.0
    for k in range(1, terms):
        numerator = first + 2 * (k - 1)
        term *= square * numerator / (numerator + 1)
        total += term
    return total


def student_quantile(p: float, df: int) -> float:
    """The t below which Student's distribution has probability `p`, by bisection of `student_cdf`."""
    low, high = -1e6, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, df) < p else (low, middle)
    return (low + high) / 2


def run_interval(rounds: Sequence[ArrayLike], level: float = LEVEL) -> Interval:
    """The log ratio of several rounds, each a list of block log ratios.

    The value is the mean of the rounds' Hodges-Lehmann estimates. The interval is the hull of the pooled
    signed-rank interval (noise inside processes) and, from three rounds on, of the t interval of the rounds'
    estimates with one-sided ends at `level` (differences between processes).
    """
    estimates = [hodges_lehmann(each, level).value for each in rounds]
    pooled = hodges_lehmann(np.concatenate([np.asarray(each, np.float64) for each in rounds]), level)
    value = mean(estimates)
    half = 0.0
    if len(estimates) >= 3:
        half = student_quantile(level, len(estimates) - 1) * stdev(estimates) / sqrt(len(estimates))
    return Interval(min(pooled.low, value - half), value, max(pooled.high, value + half))


def block_log_ratios(one: Round) -> list[float]:
    """ln(t_B / t_A) of each block of a round."""
    order = letters(one.start)
    return [block_log_ratio(order, block) for block in one.ns]


def samples(rounds: Sequence[Round], variant: str) -> list[int]:
    """Every sample of `variant`, nanoseconds, in the order in which they were taken."""
    return [
        t
        for one in rounds
        for block in one.ns
        for letter, t in zip(letters(one.start), block, strict=True)
        if one.contrast["AB".index(letter)] == variant
    ]


def median_ns(rounds: Sequence[Round], variant: str) -> float | None:
    """The median device time of `variant`, nanoseconds; None where it was never timed."""
    taken = samples(rounds, variant)
    return float(median(taken)) if taken else None


def ratio(rounds: Sequence[Round], variant: str, reference: str = "cuda", level: float = LEVEL) -> Interval | None:
    """t(variant) / t(reference) with its interval; None where no contrast of the two allows one.

    That is: no round has both, or all together have fewer than FEWEST_BLOCKS blocks.
    """
    series_of_blocks: list[Any] = [block_log_ratios(one) for one in rounds if one.contrast == (reference, variant)]
    if sum(map(len, series_of_blocks)) < FEWEST_BLOCKS:
        return None
    return run_interval([blocks for blocks in series_of_blocks if blocks], level).exp()
