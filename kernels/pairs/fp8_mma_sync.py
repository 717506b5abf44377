"""fp8_mma_sync: d = a bT, a of m x k and b of n x k in e4m3, d in f32, by mma.sync on tensor cores from Ada on.

k is a multiple of 16 and n of 4.
"""

from ptxbench.pair import (
    In,
    Launch,
    Out,
    Pair,
    Sample,
    Scalar,
    Tolerance,
    ceil_div,
    e4m3,
    f32,
    some_of_product,
    u32,
    wide,
)

BLOCK = 128
TILE = 128  # rows and columns of d that a CTA computes
SLAB = 64  # columns of a and of b that are multiplied at a time, of one byte each
STAGES = 3  # slabs in shared memory: one is multiplied while the others are being copied
STAGE_BYTES = 2 * TILE * SLAB  # of e4m3; one slab of halves, padded, takes less than three of these
WHOLE = 2048**3  # above this number of multiply-adds, the reference has one of every 32 elements of d


def product(a, b, m, n, k):
    """d; of large matrices only some of its elements."""
    return wide(a) @ wide(b).T if int(m) * int(n) * int(k) <= WHOLE else Sample(*some_of_product(a, b.T))


PAIR = Pair(
    purpose="FP8 by mma.sync: one QMMA on sm_89 and sm_120; conversions, two HMMA and four FADD on sm_90 and sm_100.",
    args=[
        In("a", e4m3, lambda m, n, k: (m, k), widened=False),
        In("b", e4m3, lambda m, n, k: (n, k), widened=False),
        Out("d", f32, lambda m, n, k: (m, n)),
        Scalar("m", u32, lambda m, n, k: m),
        Scalar("n", u32, lambda m, n, k: n),
        Scalar("k", u32, lambda m, n, k: k),
    ],
    launch=lambda m, n, k: Launch(
        grid=(ceil_div(n, TILE), ceil_div(m, TILE)), block=BLOCK, shared_bytes=STAGES * STAGE_BYTES
    ),
    reference=lambda a, b, m, n, k: {"d": product(a, b, m, n, k)},
    # sm_89 has the greatest errors: it cuts 16 products and the sum before them to 13 bits below the greatest of them,
    # and the new sum as well. In a model of it, the greatest error of 3000 sums was 7.1e-5 k, at k from 16 to 8192.
    tolerance=Tolerance("2.5e-4 k", lambda expected, inputs: 2.5e-4 * int(inputs["k"])),
    exact_on_integers=True,  # sums of k products of at most 64: below 2**14, and so whole in 13 bits, up to k = 256
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
            (121, 64, 240),
            # m and n end in each group of eight rows and columns of a warp that the sizes above leave out.
            (13, 12, 16),
            (37, 28, 32),
            (45, 36, 48),
            (53, 44, 16),
        )
    ],
    bench_sizes=[
        {"m": m, "n": n, "k": k}
        for m, n, k in ((128, 128, 512), *((edge,) * 3 for edge in (2048, 4096, 8192)), (128, 4096, 4096))
    ],
    # One multiplication and one addition for each product.
    flops=lambda m, n, k: 2 * m * n * k,
    expectation=(
        "PTX wins on sm_89 and sm_120, where one QMMA does the work of two HMMA. It loses to ptx.halves on sm_90 and "
        "sm_100: the same HMMA, and in addition four FADD for each mma.sync. There wgmma and tcgen05 are the FP8 "
        "instructions."
    ),
    prediction={"sm_89": "wins", "sm_90": "loses", "sm_100": "loses", "sm_120": "wins"},
)
