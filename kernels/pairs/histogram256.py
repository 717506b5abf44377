"""histogram256: bins[v] += the number of bytes v in x. Atomic additions in shared memory, with skewed input."""

import numpy as np

from ptxbench.pair import EXACT, In, InOut, Launch, Pair, Scalar, ceil_div, pieces, u8, u32

BLOCK = 256
BINS = 256
TILE = 16384  # bytes: four 16-byte loads a thread


def skewed(rng, shape, n, percent, ctas):
    """Random bytes; `percent` percent of them have one common value."""
    hot = rng.integers(256, dtype=np.uint8)
    others = rng.integers(256, size=shape, dtype=np.uint8)
    return np.where(rng.integers(100, size=shape, dtype=np.uint8) < percent, hot, others)


def counts(x):
    """The number of occurrences of each byte value in x."""
    return sum(np.bincount(piece, minlength=BINS) for _, piece in pieces(x))


PAIR = Pair(
    purpose=(
        "The cost of atomic additions to shared memory when few or all lanes hit one address, and ways to reduce it."
    ),
    expectation=(
        "A tie at each skew, because both sides add with the same shared atomics. The .warps variants tie too, "
        "because the collisions are inside one warp. The .match variants lose except near 100 % skew, because finding "
        "equal lanes costs more than their collisions."
    ),
    prediction="ties",
    args=[
        In("x", u8, lambda n, percent, ctas: (n,), values=skewed, legal=(0, BINS - 1), widened=False),
        InOut("bins", u32, lambda n, percent, ctas: (BINS,)),
        Scalar("n", u32, lambda n, percent, ctas: n),
    ],
    launch=lambda n, percent, ctas: Launch(grid=min(ceil_div(n, TILE), ctas), block=BLOCK),
    launches={"triton": lambda n, percent, ctas: Launch(grid=min(ceil_div(n, TILE), ctas), block=1)},
    reference=lambda x, bins, n: {"bins": bins + counts(x)},
    tolerance=EXACT,
    check_sizes=[
        {"n": n, "percent": percent, "ctas": 3}
        for n, percent in ((1, 100), (257, 40), (16383, 0), (16384, 90), (16385, 100), (66000, 40))
    ],
    # As many CTAs as the SMs hold at once. With more data each CTA loops more often; the grid does not grow.
    bench_sizes=lambda device: [
        {"n": 1 << k, "percent": percent, "ctas": device.ctas(BLOCK)}
        for k, percent in ((20, 40), *((k, percent) for k in (24, 28) for percent in (0, 40, 90, 100)))
    ],
    flops=lambda n, percent, ctas: 0,
    by_request=("cuda.shifts", "cuda.warps", "ptx.warps", "numba", "triton"),
)
