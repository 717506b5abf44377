"""hgemm_mma: c = a b, a of m x k and b of k x n in f16, c in f32, on tensor cores. n and k are multiples of 8."""

from ptxbench.libraries import Gemm
from ptxbench.pair import (
    In,
    Launch,
    Out,
    Pair,
    Sample,
    Scalar,
    Tolerance,
    ceil_div,
    f16,
    f32,
    some_of_product,
    u32,
    wide,
)

BLOCK = 128
TILE = 128  # rows and columns of c that a CTA computes
SLAB = 32  # columns of a and rows of b at a time
WHOLE = 2048**3  # beyond so many multiply-adds, the reference is one of each 32 elements of c, not all


def product(a, b, m, n, k):
    """a b, or some of it: of large matrices."""
    return wide(a) @ wide(b) if int(m) * int(n) * int(k) <= WHOLE else Sample(*some_of_product(a, b))


def bound(expected, inputs):
    """With inputs in [-1, 1] sums stay below 2 sqrt(K). Every 16 of K the unit cuts one, by 2**-22 of it at most.

    Products of f16 are exact in it. K is k up to a whole slab, whose zeros are added too.
    """
    return 3e-8 * (SLAB * ceil_div(int(inputs["k"]), SLAB)) ** 1.5


PAIR = Pair(
    teaches="wmma and mma.sync are the same HMMA; PTX decides where a tile's pieces lie, and has to mind the banks.",
    args=[
        In("a", f16, lambda m, n, k: (m, k), widened=False),
        In("b", f16, lambda m, n, k: (k, n), widened=False),
        Out("c", f32, lambda m, n, k: (m, n)),
        Scalar("m", u32, lambda m, n, k: m),
        Scalar("n", u32, lambda m, n, k: n),
        Scalar("k", u32, lambda m, n, k: k),
    ],
    launch=lambda m, n, k: Launch(grid=(ceil_div(n, TILE), ceil_div(m, TILE)), block=BLOCK),
    reference=lambda a, b, m, n, k: {"c": product(a, b, m, n, k)},
    tolerance=Tolerance("3e-8 K^1.5, K = k up to a multiple of 32", bound),
    exact_on_integers=True,  # sums of k products of at most 64
    # m ends once in each eight rows that a warp stores together and in each of the four rows that a thread copies, n in
    # each eight columns, k in each eight of a slab, of the first and of a later one.
    check_sizes=[
        {"m": m, "n": n, "k": k}
        for m, n, k in (
            (128, 128, 32),
            (136, 120, 40),
            (264, 264, 96),
            (1, 8, 8),
            (20, 16, 16),
            (90, 88, 24),
            (33, 96, 48),
            (107, 40, 56),
            (50, 112, 64),
            (121, 64, 16),
        )
    ],
    bench_sizes=[
        {"m": m, "n": n, "k": k} for m, n, k in (*((edge,) * 3 for edge in (1024, 2048, 4096, 8192)), (128, 4096, 4096))
    ],
    flops=lambda m, n, k: 2 * m * n * k,
    libraries={"cublas": Gemm()},
    expects=(
        "PTX ahead by little: C has the same HMMA and LDSM, but two LDGSTS a piece, one of which fills with zeros, "
        "and copies that conflict. noswizzle far behind both: its tiles are read in six times as many passes."
    ),
)
