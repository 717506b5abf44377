"""histogram256: bins[v] += how often byte v occurs in x. Atomic additions in shared memory, with skewed input."""

import numpy as np

from ptxbench.pair import EXACT, In, InOut, Launch, Pair, Scalar, ceil_div, u8, u32

BLOCK = 256
BINS = 256
PER_CTA = 16384  # bytes a CTA at least: four 16-byte loads a thread, so that the loop loops at small sizes too
MOST_CTAS = 1024  # 8 CTAs of 256 threads on each of 128 SMs; beyond that the loop gets longer, not the grid


def skewed(rng, shape, n, percent):
    """Bytes of which `percent` in a hundred are one value, and the others any value."""
    hot = rng.integers(256, dtype=np.uint8)
    others = rng.integers(256, size=shape, dtype=np.uint8)
    return np.where(rng.integers(100, size=shape, dtype=np.uint8) < percent, hot, others)


PAIR = Pair(
    teaches="Additions that meet in one bin take turns: the input's skew sets the time, in either language.",
    expects="A tie at each skew, because both sides add with the same shared atomics; more skew, more time.",
    args=[
        In("x", u8, lambda n, percent: (n,), values=skewed, legal=(0, BINS - 1)),
        InOut("bins", u32, lambda n, percent: (BINS,)),
        Scalar("n", u32, lambda n, percent: n),
    ],
    launch=lambda n, percent: Launch(grid=min(ceil_div(n, PER_CTA), MOST_CTAS), block=BLOCK),
    reference=lambda x, bins, n: {"bins": bins + np.bincount(x, minlength=BINS)},
    tolerance=EXACT,
    check_sizes=[
        {"n": n, "percent": percent} for n in (1, 15, 16, 4095, 4096, 4097, 65537) for percent in (10, 40, 90)
    ],
    bench_sizes=[{"n": 1 << k, "percent": percent} for k in (24, 26, 28) for percent in (10, 40, 90)],
    flops=lambda n, percent: 0,
)
