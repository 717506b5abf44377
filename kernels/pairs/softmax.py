"""softmax: y[r][c] = exp(x[r][c]) / the sum of exp(x[r]). One CTA per row, which is in registers or is read twice."""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, Tolerance, ceil_div, f32, u32

BLOCK = 256  # threads of a CTA, which takes one row


def softmax(x):
    """The softmax of each row of x."""
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def logits(rng, shape, rows, columns):
    """A wide range: most of a row's powers are far below its greatest, and none is subnormal."""
    return rng.uniform(-8, 8, shape)


def bound(expected, inputs):
    """The greatest |error| of any variant, in units of u = 2**-24 relative to y, and of 2**-126.

    With t = log2(e) (x - the row's maximum) and A the row's greatest |t|, C its number of columns:
    - a power 2**t: 1.55 |t| for the exponent (a subtraction, the constant log2(e) and a multiplication, each rounded,
      are 1 + 0.23 + 1, times ln 2; one fma is less), 4 for ex2 or expf (2 ulp);
    - the sum of the powers: the same, weighted by y. The mean of |t| is at most the entropy of y, so log2(C), and at
      most A. Then ceil(C / 256) + 8 additions. A row that is summed while its maximum is searched is rescaled at most
      C / 4096 + 5 times: for groups of four float4s, up to three more, at the edge and at the end. Each rescaling has
      a part of the error of the power above (the exponents add up), and 4 + 1 for ex2 and a multiplication;
    - the quotient: 4 for the reciprocal (2 ulp) and 1 for the multiplication.
    A power or a quotient that is flushed to zero adds an error of 2**-126.
    """
    x = inputs["x"]
    columns = x.shape[1]
    lowest = x.min(axis=1, keepdims=True, where=np.isfinite(x), initial=np.inf)  # the power of -inf is 0, exactly
    farthest = np.log2(np.e) * (x.max(axis=1, keepdims=True) - lowest)
    powers = 1.55 * (farthest + np.minimum(farthest, np.log2(columns))) + 4 + 4
    additions = ceil_div(columns, BLOCK) + 8
    scalings = 5 * (columns / 4096 + 5)
    return (powers + additions + scalings + 4 + 1) * 2**-24 * expected + 2 * 2**-126


PAIR = Pair(
    purpose="Reading each row only once gains more than faster exp, faster division and compiler flags together.",
    expectation=(
        "A tie at every size, because memory sets the time. cuda executes up to 1.6 times as many instructions as "
        "ptx: the extra ones handle subnormals, and a compiler flag removes them."
    ),
    prediction="ties",
    by_request=(
        *("cuda.online", "cuda.online@fast", "cuda.passes", "cuda.passes@fast"),
        *("cuda.divides", "cuda.divides@fast", "numba", "tile", "triton"),
    ),
    args=[
        In("x", f32, lambda rows, columns: (rows, columns), values=logits),
        Out("y", f32, lambda rows, columns: (rows, columns)),
        Scalar("columns", u32, lambda rows, columns: columns),
    ],
    launch=lambda rows, columns: Launch(grid=rows, block=BLOCK),
    launches={name: lambda rows, columns: Launch(grid=rows, block=1) for name in ("tile", "triton")},
    reference=lambda x, columns: {"y": softmax(x)},
    tolerance=Tolerance("(1.55 (A + min(A, log2 C)) + C/195 + 47) 2^-24 y, A = log2(e) (row max - row min)", bound),
    by_rows=["x"],
    check_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in (
            *((1, 1), (3, 31), (3, 255), (3, 257), (4, 1027), (4, 8195)),
            *((2, 3203), (2, 7203)),  # the last group of four vectors starts at the end of the row
            *((3, 128), (2, 1024), (2, 2048), (1, 4096), (1, 8192)),  # rows that fit into registers
        )
    ],
    bench_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in ((1024, 1024), (8192, 128), (8192, 1024), (8192, 8192), (1024, 50257))
    ],
    # For each element: compare, scale, subtract, exp2, add and divide.
    flops=lambda rows, columns: 6 * rows * columns,
    flags={"fast": ["--use_fast_math"]},
)
