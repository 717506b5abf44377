"""tma_reduce: out[i] += x[0][i] + x[1][i] + ..: a CTA adds 16 KiB of a slice to the array that all slices share."""

import numpy as np

from ptxbench.pair import In, InOut, Launch, Pair, Scalar, ceil_div, f32, relative, u32, wide

BLOCK = 128
VECTOR = 4  # values in 16 bytes
TILE = 4096  # values that a CTA adds: 16 KiB


def total(x, out):
    """out plus all slices of x, one slice at a time, so that no float64 copy of x is made."""
    added = out.copy()
    for piece in x:
        added += wide(piece)
    return added


def magnitude(x, out):
    """The sum of the magnitudes of all terms."""
    added = np.abs(out)
    for piece in x:
        added += np.abs(wide(piece))
    return added


PAIR = Pair(
    purpose="Many CTAs add tiles to one array, by one bulk reduction each or by vectors of atomic additions.",
    expectation=(
        "ptx is 1 to 2 times as fast as cuda up to 16 slices, because one thread hands over 16 KiB instead of 1024 "
        "requests of 16 bytes. A tie if the time is set by what L2 adds, which is likely for 64 slices. "
        "ptx.red ties with cuda, and cuda.scalar is behind where requests are the limit."
    ),
    prediction="wins",
    args=[
        In("x", f32, lambda n, slices: (slices, n), widened=False),
        # Starts at 1, not 0, so that a store instead of an addition is detected.
        InOut("out", f32, lambda n, slices: (n,), start=1),
        Scalar("vectors", u32, lambda n, slices: n // VECTOR),
    ],
    # The slices of a tile are neighbours in the grid, so that they are added at about the same time.
    launch=lambda n, slices: Launch(grid=(slices, ceil_div(n, TILE)), block=BLOCK),
    reference=lambda x, out, vectors: {"out": total(x, out)},
    # Each addition rounds to the 24 bits of f32, by a factor within 1 +- 2**-24.
    tolerance=relative(
        lambda x, out, vectors: (1 + 2**-24) ** len(x) - 1,
        of=lambda x, out, vectors: magnitude(x, out),
        describe="2^-24 an addition, of the sum of |terms|",
    ),
    # One vector; a tile that lacks one; one tile; the first threads of a tile; four tiles and one vector.
    check_sizes=[
        {"n": n, "slices": slices} for n, slices in ((4, 1), (4, 3), (4092, 3), (4096, 1), (1032, 2), (16388, 3))
    ],
    bench_sizes=[{"n": 1 << 16, "slices": 4}, *({"n": 1 << 22, "slices": slices} for slices in (1, 4, 16, 64))],
    flops=lambda n, slices: n * slices,
    exact_on_integers=True,
)
