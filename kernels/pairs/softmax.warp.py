"""softmax.warp: y[r][c] = exp(x[r][c]) / the sum of exp(x[r]), for rows of 128 columns. A warp per row, no barrier."""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, Tolerance, ceil_div, f32, u32

COLUMNS = 128  # of a row: one float4 for each lane
WARPS = 8  # of a CTA, each with one row


def softmax(x):
    """The softmax of each row of x."""
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def logits(rng, shape, rows):
    """A wide range: most of a row's powers are far below its greatest, and none is subnormal."""
    return rng.uniform(-8, 8, shape)


def bound(expected, inputs):
    """As in softmax, but with 3 additions in a lane and 5 in its warp."""
    x = inputs["x"]
    lowest = x.min(axis=1, keepdims=True, where=np.isfinite(x), initial=np.inf)  # the power of -inf is 0, exactly
    farthest = np.log2(np.e) * (x.max(axis=1, keepdims=True) - lowest)
    powers = 1.55 * (farthest + np.minimum(farthest, np.log2(COLUMNS))) + 4 + 4
    return (powers + 3 + 5 + 4 + 1) * 2**-24 * expected + 2 * 2**-126


PAIR = Pair(
    purpose="Give a short row to a warp, not to a CTA: no barrier, and 64 instead of 8 rows in flight on an SM.",
    expectation="A tie: a lane moves 32 bytes while its warp executes about 80 instructions, so memory sets the time.",
    prediction="ties",
    args=[
        In("x", f32, lambda rows: (rows, COLUMNS), values=logits),
        Out("y", f32, lambda rows: (rows, COLUMNS)),
        Scalar("rows", u32, lambda rows: rows),
    ],
    launch=lambda rows: Launch(grid=ceil_div(rows, WARPS), block=32 * WARPS),
    reference=lambda x, rows: {"y": softmax(x)},
    tolerance=Tolerance("(1.55 (A + min(A, 7)) + 21) 2^-24 y, A = log2(e) (row max - row min)", bound),
    by_rows=["x"],
    check_sizes=[{"rows": rows} for rows in (1, 7, 8, 9, 1000)],
    bench_sizes=[{"rows": rows} for rows in (8192, 1 << 17, 1 << 20)],
    # For each element: compare, scale, subtract, exp2, add and divide.
    flops=lambda rows: 6 * rows * COLUMNS,
    flags={"fast": ["--use_fast_math"]},
)
