"""hgemm_mma: c = a b, a of m x k and b of k x n in f16, c in f32, on tensor cores. n and k are multiples of 8."""

from ptxbench.knobs import Knob
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
SLAB = 32  # columns of a, and rows of b, that are multiplied at a time
WHOLE = 2048**3  # above this number of multiply-adds, the reference has one of every 32 elements of c
STAGES = 3  # slabs in shared memory: one is multiplied while the others are being copied
STAGE_BYTES = 2 * (TILE * SLAB + SLAB * TILE)
PAD_BYTES = 2 * 16 * 16  # the CUDA C pads 16 rows of a and of b; does not depend on STAGES


def product(a, b, m, n, k):
    """a b; of large matrices only some of its elements."""
    return wide(a) @ wide(b) if int(m) * int(n) * int(k) <= WHOLE else Sample(*some_of_product(a, b))


def bound(expected, inputs):
    """Inputs in [-1, 1] keep sums below 2 sqrt(K). For every 16 of K the unit truncates a sum, by at most 2**-22 of it.

    Products of f16 are exact in the unit. K is k rounded up to a whole slab: the zeros of the slab are added too.
    """
    return 3e-8 * (SLAB * ceil_div(int(inputs["k"]), SLAB)) ** 1.5


PAIR = Pair(
    purpose="wmma and mma.sync become the same HMMA; padding in C and a swizzle in PTX both avoid bank conflicts.",
    args=[
        In("a", f16, lambda m, n, k: (m, k), widened=False),
        In("b", f16, lambda m, n, k: (k, n), widened=False),
        Out("c", f32, lambda m, n, k: (m, n)),
        Scalar("m", u32, lambda m, n, k: m),
        Scalar("n", u32, lambda m, n, k: n),
        Scalar("k", u32, lambda m, n, k: k),
    ],
    launch=lambda m, n, k, STAGES=STAGES: Launch(  # noqa: N803  knobs have the macros' names
        grid=(ceil_div(n, TILE), ceil_div(m, TILE)), block=BLOCK, shared_bytes=STAGES * STAGE_BYTES + PAD_BYTES
    ),
    reference=lambda a, b, m, n, k: {"c": product(a, b, m, n, k)},
    tolerance=Tolerance("3e-8 K^1.5, K = k up to a multiple of 32", bound),
    exact_on_integers=True,  # sums of k products of at most 64
    # Together the sizes let m end in each group of eight rows that a warp stores and in each of the four rows that a
    # thread copies, n in each group of eight columns, and k in each group of eight of the first and of a later slab.
    # A whole tile and a ragged one have more slabs than stages; 264 x 264 x 72 has tiles that are ragged only in k,
    # and so is 128 x 128 x 48, by half a slab.
    check_sizes=[
        {"m": m, "n": n, "k": k}
        for m, n, k in (
            (128, 128, 160),
            (128, 128, 48),
            (136, 120, 40),
            (264, 264, 72),
            (1, 8, 8),
            (13, 8, 8),
            (20, 16, 16),
            (90, 88, 24),
            (33, 96, 48),
            (107, 40, 152),
            (50, 112, 64),
            (121, 64, 16),
        )
    ],
    # 1024^3 and 128 x 4096 x 4096 have fewer CTAs than a large GPU has SMs, so they show how long one CTA takes. The
    # last size has six CTAs for each SM: whole waves with one, two or three CTAs an SM.
    bench_sizes=lambda device: [
        {"m": m, "n": n, "k": k}
        for m, n, k in (
            *((edge,) * 3 for edge in (1024, 2048, 4096, 8192)),
            (128, 4096, 4096),
            (TILE * ceil_div(device.sms, 2), 12 * TILE, 4096),
        )
    ],
    flops=lambda m, n, k: 2 * m * n * k,
    libraries={"cublas": Gemm()},
    knobs=[Knob("STAGES", STAGES, (2, 3, 4), "slabs in shared memory")],
    by_request=("ptx.noswizzle",),
    expectation=(
        "A tie, or PTX slightly ahead: both have the same HMMA, LDSM and copies, no conflicts, and executed "
        "instructions within 8 %. PTX fits into 168 registers, so three CTAs an SM against two of C; this matters "
        "only where latency is not hidden. ptx.noswizzle is far behind, because it reads its tiles in six times as "
        "many passes."
    ),
    prediction="ties",
)
