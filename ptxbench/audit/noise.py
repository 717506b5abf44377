"""Rounds of a suite of kernels, drawn from a model of a GPU's noise. The noise is assumed, not measured on a GPU.

The protocol is that of a run (docs/measuring.md): every round is a process that takes BLOCKS blocks of four samples,
A B B A. Its ratio is the Hodges-Lehmann estimate of the blocks' log ratios, its time the median of B's samples. All
kernels have the same true time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptxbench import stats

BLOCKS = stats.LOOKS[0]
"""The fewest blocks with which a round may end, which give the noisiest estimate."""

DELAY = 0.3
"""The mean delay of a delayed sample, as a share of its time; exponential."""

SLOWER = 0.10
"""The slowdown of a variant in a round in its slow mode."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Standard deviations of natural logarithms, and the rates of rare events."""

    name: str
    run: float
    """Noise common to all kernels of a run: the clock, the temperature."""
    process: float
    """Noise common to both variants of a kernel in a round: the addresses of its arrays."""
    variant: float
    """Noise of one variant of one kernel in a round; no ratio cancels it."""
    sample: float
    delayed: float
    """The share of delayed samples."""
    slow: float
    """The share of rounds in which a variant is in its slow mode."""


QUIET = Noise("quiet", run=0.003, process=0.003, variant=0.001, sample=0.005, delayed=0.005, slow=0.001)
TYPICAL = Noise("typical", run=0.008, process=0.008, variant=0.003, sample=0.010, delayed=0.010, slow=0.003)
NOISY = Noise("noisy", run=0.020, process=0.025, variant=0.010, sample=0.030, delayed=0.030, slow=0.010)
NOISES = (QUIET, TYPICAL, NOISY)


@dataclass(frozen=True)
class Suite:
    """The values of each kernel in each round of base and head, natural logarithms, shape (2, kernels, rounds)."""

    ratios: Floats
    times: Floats


def draw_suite(noise: Noise, rng: np.random.Generator, kernels: int, rounds: int) -> Suite:
    """Two runs of equal kernels whose true ratio and time are 1."""
    shape = (2, kernels, rounds)
    shared = rng.normal(0, noise.run, (2, 1, 1)) + rng.normal(0, noise.process, shape)
    of_variant = rng.normal(0, noise.variant, (*shape, 2)) + np.log1p(SLOWER) * (rng.random((*shape, 2)) < noise.slow)
    a, b = (draw_samples(noise, rng, shape) + (shared + of_variant[..., i])[..., None, None] for i in (0, 1))
    return Suite(walsh_median((b - a).mean(axis=-1)), np.median(b.reshape(*shape, -1), axis=-1))


def draw_samples(noise: Noise, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """The samples of one variant, two in each block: shape (*shape, BLOCKS, 2)."""
    sample_shape = (*shape, BLOCKS, 2)
    samples = rng.normal(0, noise.sample, sample_shape)
    late = rng.random(sample_shape) < noise.delayed
    samples[late] += np.log1p(rng.exponential(DELAY, np.count_nonzero(late)))
    return samples


PAIRS = np.triu_indices(BLOCKS)


def walsh_median(values: Floats) -> Floats:
    """The Hodges-Lehmann estimate along the last axis, which has BLOCKS values: `stats.hodges_lehmann` for many at
    once."""
    i, j = PAIRS
    median: Floats = np.median(values[..., i] + values[..., j], axis=-1) / 2
    return median
