"""tma_reduce.bf16: out[i] += x[0][i] + x[1][i] + .., in bf16, where CUDA C adds two values at once and PTX eight."""

import numpy as np

from ptxbench.pair import In, InOut, Launch, Pair, Scalar, bf16, ceil_div, relative, u32, wide

BLOCK = 128
VECTOR = 8  # values in 16 bytes
TILE = 8192  # values that a CTA adds: 16 KiB


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
    purpose="A bulk reduction adds bf16 as it adds f32; the atomic addition of C has two values and a generic address.",
    expectation=(
        "ptx and ptx.red are 1 to 3 times as fast as cuda while out fits into L2: a thread of cuda waits for each of "
        "its additions. ptx and ptx.red tie if L2 adds as fast for the copy engine as for the SMs."
    ),
    prediction="wins",
    args=[
        # Whole numbers up to 3 are exact in any order for 64 slices: their sums stay below 2**8.
        In("x", bf16, lambda n, slices: (slices, n), integers=(-3, 3), widened=False),
        # Starts at 1, not 0, so that a store instead of an addition is detected.
        InOut("out", bf16, lambda n, slices: (n,), start=1),
        Scalar("vectors", u32, lambda n, slices: n // VECTOR),
    ],
    # The slices of a tile are neighbours in the grid, so that they are added at about the same time.
    launch=lambda n, slices: Launch(grid=(slices, ceil_div(n, TILE)), block=BLOCK),
    reference=lambda x, out, vectors: {"out": total(x, out)},
    # Each addition rounds to the 8 bits of bf16, by a factor within 1 +- 2**-8.
    tolerance=relative(
        lambda x, out, vectors: (1 + 2**-8) ** len(x) - 1,
        of=lambda x, out, vectors: magnitude(x, out),
        describe="2^-8 an addition, of the sum of |terms|",
    ),
    # One vector; a tile that lacks one; one tile; the first threads of a tile; a tile and one vector.
    check_sizes=[
        {"n": n, "slices": slices} for n, slices in ((8, 1), (8, 3), (8184, 3), (8192, 1), (2064, 2), (8200, 3))
    ],
    bench_sizes=[{"n": 1 << 17, "slices": 4}, *({"n": 1 << 23, "slices": slices} for slices in (1, 4, 16, 64))],
    flops=lambda n, slices: n * slices,
    exact_on_integers=True,
    timed_on_integers=True,  # the bound of 64 roundings would accept a slice that is missing
)
