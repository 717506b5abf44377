"""reduce_sum.s32: total += the sum of x, in integers. redux.sync adds up a warp in one instruction; it needs sm_80."""

import numpy as np

from ptxbench.pair import EXACT, In, InOut, Launch, Pair, Scalar, ceil_div, s32, u32

BLOCK = 256
CHUNK = 4096  # elements that a CTA takes at a time: four int4 a thread


def small(rng, shape, n, ctas):
    """Numbers whose sum fits well into 32 bits: for 2**30 of them its standard deviation is 2**26.2."""
    return rng.integers(-4096, 4096, shape, np.int32, endpoint=True)


PAIR = Pair(
    purpose=("__reduce_add_sync and redux.sync are one instruction, which replaces five shuffles and five additions."),
    expectation=(
        "A tie within 0.5 %, because both sides have the same loop and the same redux.sync, and DRAM sets the time."
    ),
    prediction="ties",
    args=[
        In("x", s32, lambda n, ctas: (n,), values=small, legal=(-4096, 4096), widened=False),
        InOut("total", s32, lambda n, ctas: (1,)),
        Scalar("n", u32, lambda n, ctas: n),
    ],
    launch=lambda n, ctas: Launch(grid=min(ceil_div(n, CHUNK), ctas), block=BLOCK),
    reference=lambda x, total, n: {"total": total + np.sum(x, dtype=np.int64)},
    tolerance=EXACT,
    check_sizes=[{"n": n, "ctas": 3} for n in (1, 255, 257, 4095, 4096, 4097, 100_003)],
    bench_sizes=lambda device: [{"n": 1 << k, "ctas": device.ctas(BLOCK)} for k in (16, 22, 26, 30)],
    flops=lambda n, ctas: n,
)
