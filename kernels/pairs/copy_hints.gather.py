"""copy_hints.gather: y[r] = x[r * step], records of 32 bytes. A hint can fetch neighbouring bytes that are not used."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, u32

BLOCK = 256
VECTOR = 16  # bytes of an access
IN_FLIGHT = 4  # loads that a thread issues before its first store
RECORD = 8  # 4-byte numbers in a record; together one sector

PAIR = Pair(
    purpose="A prefetch size that suits a stream fetches unused bytes where records are spread out.",
    expectation=(
        "A tie at step 1, where all fetched bytes are used. If the GPU follows the hint, ptx.l2_256 takes up to 4.5 "
        "times as long as ptx at step 8, and ptx.l2_128 up to 2.5 times at step 4. A tie there shows that the hint "
        "has no effect."
    ),
    prediction="ties",
    args=[
        In("x", u32, lambda n, step: (n // 4 * step,), widened=False),
        Out("y", u32, lambda n, step: (n // 4,)),
        Scalar("vectors", u32, lambda n, step: n // VECTOR),
        Scalar("step", u32, lambda n, step: step),
    ],
    launch=lambda n, step: Launch(grid=ceil_div(n, VECTOR * IN_FLIGHT * BLOCK), block=BLOCK),
    reference=lambda x, vectors, step: {"y": x.reshape(-1, step, RECORD)[:, 0].reshape(-1)},
    tolerance=EXACT,
    # 604 and 1326 vectors: the last CTA has two and one whole rows of 256, and a part of the next.
    check_sizes=[
        {"n": n, "step": step}
        for n, step in ((32, 1), (9664, 4), (16352, 3), (16384, 2), (16416, 8), (21216, 1), (65568, 5))
    ],
    bench_sizes=[{"n": n, "step": step} for n, step in ((1 << 20, 4), *((1 << 25, step) for step in (1, 2, 4, 8)))],
    flops=lambda n, step: 0,
    bytes=lambda n, step: 2 * n,  # only the records of x, not what lies between them
    by_request=("ptx.l2_64",),
)
