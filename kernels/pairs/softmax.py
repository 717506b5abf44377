"""softmax: y[r][c] = exp(x[r][c]) / the sum of exp(x[r]). A CTA a row, in three passes: maximum, sum, quotients."""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, Tolerance, ceil_div, f32, u32

BLOCK = 256  # threads, of one CTA a row


def softmax(x):
    """The softmax of each row of x."""
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def logits(rng, shape, rows, columns):
    """Wide enough that most of a row's powers are far below its greatest, none of them subnormal."""
    return rng.uniform(-8, 8, shape)


def bound(expected, inputs):
    """The greatest |error| of any of the variants, in units of u = 2**-24 relative to y, and of 2**-126.

    With t = log2(e) (x - the row's maximum) and A the row's greatest |t|, C its number of columns:
    - a power 2**t: 1.55 |t| from the exponent (a subtraction, the constant log2(e) and a multiplication, each rounded,
      are 1 + 0.23 + 1, times ln 2; one fma is less), 4 from ex2 or expf (2 ulp);
    - the sum of the powers: the same weighted by y, where the mean of |t| is at most the entropy of y, so log2(C),
      and at most A; then ceil(C / 256) + 8 additions;
    - the quotient: 2 from the reciprocal (1 ulp) and 1 from the multiplication.
    A flushed power and a flushed quotient are off by 2**-126 each.
    """
    x = inputs["x"]
    columns = x.shape[1]
    farthest = np.log2(np.e) * (x.max(axis=1, keepdims=True) - x.min(axis=1, keepdims=True))
    powers = 1.55 * (farthest + np.minimum(farthest, np.log2(columns))) + 4 + 4
    additions = ceil_div(columns, BLOCK) + 8
    return (powers + additions + 2 + 1) * 2**-24 * expected + 2 * 2**-126


PAIR = Pair(
    teaches="PTX gains what a flag gains: under --use_fast_math exp2f(fmaf(..)) is the same fma and ex2.approx.ftz.",
    expects=(
        "A tie where rows come from DRAM; where they stay in L2, up to 1.15 times as fast as cuda, and a tie with "
        "cuda.exp2@fast, whose loops are the same."
    ),
    args=[
        In("x", f32, lambda rows, columns: (rows, columns), values=logits),
        Out("y", f32, lambda rows, columns: (rows, columns)),
        Scalar("columns", u32, lambda rows, columns: columns),
    ],
    launch=lambda rows, columns: Launch(grid=rows, block=BLOCK),
    reference=lambda x, columns: {"y": softmax(x)},
    tolerance=Tolerance("(1.55 (A + min(A, log2 C)) + C/256 + 19) 2^-24 y, A = log2(e) (row max - row min)", bound),
    by_rows=["x"],
    check_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in ((1, 1), (3, 31), (3, 255), (3, 256), (3, 257), (4, 5000))
    ],
    bench_sizes=[
        {"rows": rows, "columns": columns} for rows, columns in ((8192, 128), (8192, 1024), (8192, 8192), (1024, 50257))
    ],
    # An element is compared, scaled, shifted, raised, added and divided.
    flops=lambda rows, columns: 6 * rows * columns,
    flags={"fast": ["--use_fast_math"]},
)
