"""histogram256: bins[v] += how often byte v occurs in x. Atomic additions in shared memory, with skewed input."""

import numpy as np

from ptxbench.pair import EXACT, In, InOut, Launch, Pair, Scalar, ceil_div, pieces, u8, u32

BLOCK = 256
BINS = 256
TILE = 16384  # bytes: four 16-byte loads a thread


def skewed(rng, shape, n, percent, ctas):
    """Bytes of which `percent` in a hundred are one value, and the others any value."""
    hot = rng.integers(256, dtype=np.uint8)
    others = rng.integers(256, size=shape, dtype=np.uint8)
    return np.where(rng.integers(100, size=shape, dtype=np.uint8) < percent, hot, others)


def counts(x):
    """How often each byte occurs in x."""
    return sum(np.bincount(piece, minlength=BINS) for _, piece in pieces(x))


PAIR = Pair(
    teaches="What additions to shared memory cost where few lanes meet and where all do, and what spares them.",
    expects=(
        "A tie at each skew, because both sides add with the same shared atomics; .warps ties too, as the additions of "
        "one warp meet; .match loses except near 100 % skew, as finding who meets costs more than meeting."
    ),
    args=[
        In("x", u8, lambda n, percent, ctas: (n,), values=skewed, legal=(0, BINS - 1), widened=False),
        InOut("bins", u32, lambda n, percent, ctas: (BINS,)),
        Scalar("n", u32, lambda n, percent, ctas: n),
    ],
    launch=lambda n, percent, ctas: Launch(grid=min(ceil_div(n, TILE), ctas), block=BLOCK),
    reference=lambda x, bins, n: {"bins": bins + counts(x)},
    tolerance=EXACT,
    check_sizes=[
        {"n": n, "percent": percent, "ctas": 3}
        for n, percent in ((1, 100), (257, 40), (16383, 0), (16384, 90), (16385, 100), (66000, 40))
    ],
    # As many CTAs as the SMs hold at once; beyond that the loop gets longer, not the grid.
    bench_sizes=lambda device: [
        {"n": 1 << k, "percent": percent, "ctas": device.ctas(BLOCK)}
        for k, percent in ((20, 40), *((k, percent) for k in (24, 28) for percent in (0, 40, 90, 100)))
    ],
    flops=lambda n, percent, ctas: 0,
    by_request=("cuda.shifts", "cuda.warps", "ptx.warps"),
)
