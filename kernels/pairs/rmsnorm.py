"""rmsnorm: y[r][c] = x[r][c] * w[c] / sqrt(mean(x[r]^2) + eps). One CTA per row, which stays in registers."""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, ceil_div, f32, relative, u32

BLOCK = 256  # threads of a CTA, which takes one row


def rmsnorm(x, w, eps):
    """Each row of x divided by the square root of its mean square plus eps, times w."""
    return x * w / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + eps)


def weights(rng, shape, rows, columns):
    """Around one, as in trained models; far from zero, so that each weight matters."""
    return rng.uniform(0.5, 1.5, shape)


def some_eps(rng, rows, columns):
    """From far below the mean square up to about its size."""
    return 10 ** rng.uniform(-8, -1)


def error(columns):
    """The greatest relative error of y, in units of u = 2**-24, to the first order.

    - the mean, whose terms are all positive: ceil(C / 256) fmas, 8 additions, 4 for the reciprocal of C (2 ulp) and
      1 for the fma that multiplies by it and adds eps. The square root halves them;
    - rsqrt.approx: 2^-22.9, which is 2.15 u;
    - the multiplications by the result and by w: 2.
    """
    return ((ceil_div(int(columns), BLOCK) + 8 + 4 + 1) / 2 + 2.15 + 2) * 2**-24


PAIR = Pair(
    purpose=(
        "Work once a row is hidden behind its memory traffic; reading a row once gains more than fewer instructions."
    ),
    expectation=(
        "A tie: both sides read each row once, and memory sets the time. ptx.passes reads each row a second time, "
        "from L1 or L2, and is a few percent slower."
    ),
    prediction="ties",
    by_request=("cuda.passes", "cuda.passes@fast", "cuda.divides", "cuda.divides@fast", "numba", "triton"),
    args=[
        In("x", f32, lambda rows, columns: (rows, columns)),
        In("w", f32, lambda rows, columns: (columns,), values=weights),
        Out("y", f32, lambda rows, columns: (rows, columns)),
        Scalar("eps", f32, 1e-6, values=some_eps),
        Scalar("columns", u32, lambda rows, columns: columns),
    ],
    launch=lambda rows, columns: Launch(grid=rows, block=BLOCK),
    launches={"triton": lambda rows, columns: Launch(grid=rows, block=1)},
    reference=lambda x, w, eps, columns: {"y": rmsnorm(x, w, eps)},
    tolerance=relative(
        lambda x, w, eps, columns: error(columns),
        of=lambda x, w, eps, columns: np.abs(rmsnorm(x, w, eps)),
        describe="(C/512 + 11) 2^-24 of |y|",
    ),
    by_rows=["x"],
    check_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in (
            *((1, 1), (3, 255), (3, 256), (3, 257), (4, 5000)),
            *((3, 1024), (2, 2048), (2, 4096), (2, 8192)),  # rows that fit into registers
        )
    ],
    bench_sizes=[
        {"rows": rows, "columns": columns} for rows, columns in ((1024, 1024), (8192, 1024), (8192, 4096), (8192, 8192))
    ],
    # For each element: square, add, scale, multiply by its weight.
    flops=lambda rows, columns: 4 * rows * columns,
    flags={"fast": ["--use_fast_math"]},
)
