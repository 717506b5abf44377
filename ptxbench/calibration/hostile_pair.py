"""What the pairs of `hostile/` have in common: y[i] = i, with CUDA C that works and PTX that does not end or fails."""

from __future__ import annotations

import numpy as np

from ptxbench.pair import EXACT, Launch, Out, Pair, Scalar, u32


def hostile_pair(purpose: str) -> Pair:
    return Pair(
        purpose=purpose,
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
