"""new_kernel: y[i] = a * x[i]. One element per thread, a partial last block."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, f32, u32

BLOCK = 256  # threads, each with one element

PAIR = Pair(
    purpose="Replace this: what can be learned from the two sides?",
    expectation="Replace this: what should a GPU show, and why? This is a prediction, not a measurement.",
    args=[  # in the order of both signatures
        In("x", f32, lambda n: (n,)),
        Out("y", f32, lambda n: (n,)),
        Scalar("a", f32, 0.7),  # not exact in binary, so each product is rounded
        Scalar("n", u32, lambda n: n),
    ],
    launch=lambda n: Launch(grid=ceil_div(n, BLOCK), block=BLOCK),
    # It gets float64, in which the product of two f32 is exact.
    reference=lambda x, a, n: {"y": a * x},
    # One product, rounded once, as the reference is for the comparison. If a kernel rounds more often, say here how
    # often, and allow for it: ulps(...) or relative(...).
    tolerance=EXACT,
    # Around the block size, where an index that is off by one becomes visible.
    check_sizes=[{"n": n} for n in (1, 255, 256, 257, 1000)],
    # The emulator runs the first one.
    bench_sizes=[{"n": 1 << k} for k in (16, 22, 25, 28)],
    flops=lambda n: n,
)
