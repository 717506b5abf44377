"""copy_hints.gather: y[r] = x[r * step], records of 32 bytes: what a hint fetches beside them, nobody may want."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, u32

BLOCK = 256
VECTOR = 16  # bytes of an access
IN_FLIGHT = 4  # loads of a thread before its first store
RECORD = 8  # numbers of 4 bytes: a sector

PAIR = Pair(
    teaches="A prefetch size that fits a stream fetches bytes that nobody wants where records lie apart.",
    expects=(
        "A tie with step 1, where all that is fetched is wanted. Where the GPU obeys, ptx.l2_256 takes up to 4.5 times "
        "as long as ptx with step 8, and ptx.l2_128 up to 2.5 with 4; a tie shows that the hint does nothing."
    ),
    args=[
        In("x", u32, lambda n, step: (n // 4 * step,), widened=False),
        Out("y", u32, lambda n, step: (n // 4,)),
        Scalar("vectors", u32, lambda n, step: n // VECTOR),
        Scalar("step", u32, lambda n, step: step),
    ],
    launch=lambda n, step: Launch(grid=ceil_div(n, VECTOR * IN_FLIGHT * BLOCK), block=BLOCK),
    reference=lambda x, vectors, step: {"y": x.reshape(-1, step, RECORD)[:, 0].reshape(-1)},
    tolerance=EXACT,
    check_sizes=[{"n": n, "step": step} for n, step in ((32, 1), (16352, 3), (16384, 2), (16416, 8), (65568, 5))],
    bench_sizes=[{"n": n, "step": step} for n, step in ((1 << 20, 4), *((1 << 25, step) for step in (1, 2, 4, 8)))],
    flops=lambda n, step: 0,
    bytes=lambda n, step: 2 * n,  # of x the records alone
    by_request=("ptx.l2_64",),
)
