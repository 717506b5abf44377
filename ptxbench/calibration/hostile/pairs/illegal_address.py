"""illegal_address: y[i] = i. Its PTX stores to an address that is not allocated, and so loses the device."""

import numpy as np

from ptxbench.pair import EXACT, Launch, Out, Pair, Scalar, u32

PAIR = Pair(
    purpose="That a kernel which loses the device costs its own row and nothing else.",
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
