"""int8_gemm_mma: d = (a bT) a_scale b_scale, a of m x k and b of n x k in s8, d in f32, on tensor cores.

k is a multiple of 16 and n of 4. Each row of a and of b has one scale, as quantised activations and weights have.
"""

import numpy as np

from ptxbench.pair import (
    In,
    Launch,
    Out,
    Pair,
    Sample,
    Scalar,
    Tolerance,
    ceil_div,
    f32,
    s8,
    some_of_product,
    u32,
    wide,
)

BLOCK = 128
TILE = 128  # rows and columns of d that a CTA computes
SLAB = 64  # columns of a and of b that are multiplied at a time, of one byte each
STAGES = 3  # slabs in shared memory: one is multiplied while the others are being copied
STAGE_BYTES = 2 * TILE * SLAB
PAD_BYTES = 2 * 16 * 16  # the CUDA C pads 16 rows of a and of b
WHOLE = 2048**3  # above this number of multiply-adds, the reference has one of every 32 elements of d


def product(a, b, a_scale, b_scale, m, n, k):
    """d; of large matrices only some of its elements. The sums are integers below 2**53, exact in float64."""
    if int(m) * int(n) * int(k) <= WHOLE:
        return wide(a).astype(np.float64) @ wide(b).T.astype(np.float64) * a_scale[:, np.newaxis] * b_scale
    at, sums = some_of_product(a, b.T)
    return Sample(at, sums * a_scale[at // int(n)] * b_scale[at % int(n)])


def scales(rng, shape, m, n, k):
    """Of a quantised matrix: the greatest magnitude of a row, divided by 127."""
    return rng.uniform(0.001, 0.02, shape)


PAIR = Pair(
    purpose="wmma stops at 16 of k and hides where a sum is. mma.sync takes 32 of k, and scales sums in registers.",
    args=[
        In("a", s8, lambda m, n, k: (m, k), integers=(-8, 8), widened=False),
        In("b", s8, lambda m, n, k: (n, k), integers=(-8, 8), widened=False),
        In("a_scale", f32, lambda m, n, k: (m,), values=scales, integers=(-4, 4)),
        In("b_scale", f32, lambda m, n, k: (n,), values=scales, integers=(-4, 4)),
        Out("d", f32, lambda m, n, k: (m, n)),
        Scalar("m", u32, lambda m, n, k: m),
        Scalar("n", u32, lambda m, n, k: n),
        Scalar("k", u32, lambda m, n, k: k),
    ],
    launch=lambda m, n, k: Launch(
        grid=(ceil_div(n, TILE), ceil_div(m, TILE)), block=BLOCK, shared_bytes=STAGES * STAGE_BYTES + PAD_BYTES
    ),
    reference=lambda a, b, a_scale, b_scale, m, n, k: {"d": product(a, b, a_scale, b_scale, m, n, k)},
    # A sum is exact in s32 for k up to 131071. Three roundings: of the sum to f32, of the product of the two scales,
    # and of the product of both.
    tolerance=Tolerance(
        "three roundings, 3 2^-24 |d|", lambda expected, inputs: ((1 + 2**-24) ** 3 - 1) * np.abs(expected)
    ),
    exact_on_integers=True,  # sums of k products of at most 64, times scales of at most 4 * 4
    # m ends in different groups of eight rows, n in different groups of four columns, and k in each piece of 16 of the
    # first or of a later slab. 128 x 132 x 80 has a tile that is ragged only in k.
    check_sizes=[
        {"m": m, "n": n, "k": k}
        for m, n, k in (
            (128, 128, 256),
            (136, 120, 96),
            (128, 132, 80),
            (1, 4, 16),
            (20, 264, 32),
            (90, 84, 48),
            (121, 64, 304),
            # m and n end in each group of eight rows and columns of a warp that the sizes above leave out.
            (13, 12, 16),
            (37, 28, 32),
            (45, 36, 48),
            (53, 44, 16),
        )
    ],
    bench_sizes=[
        {"m": m, "n": n, "k": k} for m, n, k in (*((edge,) * 3 for edge in (1024, 4096, 8192)), (16, 4096, 4096))
    ],
    # One multiplication and one addition for each product.
    flops=lambda m, n, k: 2 * m * n * k,
    by_request=("cuda.dp4a", "ptx.dp4a"),
    expectation=(
        "PTX wins a little: half as many tensor instructions for the same products, and no trip of the sums through "
        "shared memory. The dp4a variants are far behind both where the tensor cores set the time: one project saw "
        "1.21 to 1.65 between the two on an RTX 4090."
    ),
    prediction="wins",
)
