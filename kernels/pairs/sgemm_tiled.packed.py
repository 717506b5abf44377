"""sgemm_tiled.packed: c = a b in f32, a of m x k, b of k x n, with two multiply-adds an instruction (sm_100)."""

from ptxbench.libraries import Gemm
from ptxbench.pair import In, Launch, Out, Pair, Sample, Scalar, Tolerance, ceil_div, f32, some_of_product, u32, wide

BLOCK = 256
TILE = 128  # rows and columns of c that a CTA computes
WHOLE = 2048**3  # above this number of multiply-adds, the reference has one of every 32 elements of c


def product(a, b, m, n, k):
    """a b; of large matrices only some of its elements."""
    return wide(a) @ wide(b) if int(m) * int(n) * int(k) <= WHOLE else Sample(*some_of_product(a, b))


PAIR = Pair(
    purpose=(
        "sm_100 can do two f32 multiply-adds in one instruction; NVRTC uses it only if the source calls __ffma2_rn."
    ),
    args=[
        In("a", f32, lambda m, n, k: (m, k), widened=False),
        In("b", f32, lambda m, n, k: (k, n), widened=False),
        Out("c", f32, lambda m, n, k: (m, n)),
        Scalar("m", u32, lambda m, n, k: m),
        Scalar("n", u32, lambda m, n, k: n),
        Scalar("k", u32, lambda m, n, k: k),
    ],
    launch=lambda m, n, k: Launch(grid=(ceil_div(n, TILE), ceil_div(m, TILE)), block=BLOCK),
    reference=lambda a, b, m, n, k: {"c": product(a, b, m, n, k)},
    # Inputs in [-1, 1] keep the partial sums of an element below 2 sqrt(k). Each of its k fmas has an unbiased error of
    # at most 2**-24 of a partial sum, so the errors add up to a standard deviation below 7e-8 k.
    tolerance=Tolerance("1e-6 k", lambda expected, inputs: 1e-6 * float(inputs["k"])),
    exact_on_integers=True,  # sums of k products of at most 64
    # Multiples of 4 use float4, other sizes single floats. Together the sizes let m end in each of a thread's 8 rows, n
    # in each of its 8 columns, and k in each float that it loads.
    check_sizes=[
        {"m": m, "n": n, "k": k}
        for m, n, k in (
            (128, 128, 8),
            (127, 129, 9),
            (129, 257, 25),
            (1, 4, 1),
            (2, 2, 2),
            (3, 35, 3),
            (20, 36, 10),
            (49, 33, 5),
            (50, 34, 12),
            (68, 3, 15),
            (4, 32, 4),
            (65, 68, 16),
            (34, 100, 8),
            (35, 4, 4),
            (5, 6, 4),
            (84, 132, 12),
            (17, 4, 8),
            (18, 4, 8),
            (19, 4, 8),
        )
    ],
    # 1024^3 has 64 CTAs and shows how long one takes. The last size has six CTAs for each SM: waves of two an SM.
    bench_sizes=lambda device: [
        {"m": m, "n": n, "k": k}
        for m, n, k in ((1024,) * 3, (4096,) * 3, (TILE * ceil_div(device.sms, 2), 12 * TILE, 4096))
    ],
    flops=lambda m, n, k: 2 * m * n * k,
    libraries={"cublas": Gemm()},
    expectation=(
        "C and PTX tie within 3 %; both have 256 FFMA2 a slab. They execute 40 % fewer instructions than sgemm_tiled: "
        "faster if issue slots limit the time; a tie if the multiply-add pipe does, where an FFMA2 takes two cycles."
    ),
    prediction="ties",
)
