"""endless: y[i] = i. Its PTX waits for a value that is never written, and so never ends."""

import numpy as np

from ptxbench.pair import EXACT, Launch, Out, Pair, Scalar, u32

PAIR = Pair(
    purpose="That a kernel which never ends costs its own row and nothing else.",
    args=[
        Out("y", u32, lambda n: (n,)),
        Scalar("n", u32, lambda n: n),
    ],
    launch=lambda n: Launch(grid=1, block=n),
    reference=lambda n: {"y": np.arange(n)},
    tolerance=EXACT,
    check_sizes=[{"n": 32}],
    bench_sizes=[{"n": 64}],
    flops=lambda n: 0,
)
