"""copy_hints.v8: y = x, byte for byte, by accesses of 32 bytes, which need sm_100 or later. A ragged last CTA."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, u32

BLOCK = 256
VECTOR = 32  # bytes of an access
IN_FLIGHT = 2  # loads that a thread issues before its first store

PAIR = Pair(
    purpose=(
        "From sm_100 on one access can move 32 bytes; in C by a struct aligned to 32 bytes. Only PTX has the hints."
    ),
    expectation=(
        "All variants tie: nothing is read twice, and half as many requests as with 16 bytes move the same bytes."
    ),
    prediction="ties",
    args=[
        In("x", u32, lambda n: (n // 4,), widened=False),
        Out("y", u32, lambda n: (n // 4,)),
        Scalar("vectors", u32, lambda n: n // VECTOR),
    ],
    launch=lambda n: Launch(grid=ceil_div(n, VECTOR * IN_FLIGHT * BLOCK), block=BLOCK),
    reference=lambda x, vectors: {"y": x},
    tolerance=EXACT,
    check_sizes=[{"n": n} for n in (32, 8192, 16352, 16384, 16416, 1048608)],
    bench_sizes=[{"n": 1 << k} for k in (20, 28, 31)],
    flops=lambda n: 0,
)
