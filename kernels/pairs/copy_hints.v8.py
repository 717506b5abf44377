"""copy_hints.v8: y = x, byte for byte, 32 bytes an access, which sm_100 and later have. A ragged last CTA."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, u32

BLOCK = 256
VECTOR = 32  # bytes of an access
IN_FLIGHT = 2  # loads of a thread before its first store

PAIR = Pair(
    teaches="From sm_100 on an access may have 32 bytes, in C by a struct that is aligned to 32; hints stay PTX's own.",
    expects="A tie of all rows: nothing is read twice, and half as many requests as of 16 bytes spare no byte.",
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
