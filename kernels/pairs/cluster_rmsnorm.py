"""cluster_rmsnorm: y[r][c] = x[r][c] * w[c] / sqrt(mean(x[r]^2) + eps). A cluster of eight CTAs holds each row.

The number of columns is a multiple of 32, so that each CTA has a whole number of pieces of four.
"""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, ceil_div, f32, relative, u32

CLUSTER = 8  # CTAs that share a row: the most that every GPU with clusters allows
BLOCK = 256
LONG_BLOCK = 1024  # of cuda.two_pass, whose CTA takes a whole row


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

    - the mean, whose terms are all positive: the fmas of a thread, which takes four of each 4 * 1024 or 8 * 4 * 256
      columns; 11 additions of threads, warps and CTAs; 4 for the reciprocal of the columns (2 ulp) and 1 for the fma
      that multiplies by it and adds eps. The square root halves them;
    - rsqrt.approx: 2^-22.9, which is 2.15 u;
    - the multiplications by the result and by w: 2.
    """
    return ((4 * ceil_div(int(columns), 4 * LONG_BLOCK) + 11 + 4 + 1) / 2 + 2.15 + 2) * 2**-24


PAIR = Pair(
    purpose="A row too long for one CTA is read once, if eight CTAs hold it and exchange their sums.",
    expectation=(
        "A tie for long rows, and PTX slightly ahead for short ones: st.async delivers a sum and reports its arrival "
        "in one instruction, where C waits at a second barrier of the cluster. cuda.two_pass reads long rows twice "
        "from memory, so it should reach two thirds of the speed."
    ),
    prediction="wins",
    args=[
        In("x", f32, lambda rows, columns: (rows, columns)),
        In("w", f32, lambda rows, columns: (columns,), values=weights),
        Out("y", f32, lambda rows, columns: (rows, columns)),
        Scalar("eps", f32, 1e-6, values=some_eps),
        Scalar("columns", u32, lambda rows, columns: columns),
    ],
    launch=lambda rows, columns: Launch(
        grid=CLUSTER * rows, block=BLOCK, cluster=CLUSTER, shared_bytes=columns * 4 // CLUSTER
    ),
    launches={"cuda.two_pass": lambda rows, columns: Launch(grid=rows, block=LONG_BLOCK)},
    reference=lambda x, w, eps, columns: {"y": rmsnorm(x, w, eps)},
    tolerance=relative(
        lambda x, w, eps, columns: error(columns),
        of=lambda x, w, eps, columns: np.abs(rmsnorm(x, w, eps)),
        describe="(C/2048 + 15) 2^-24 of |y|",
    ),
    by_rows=["x"],
    # A CTA has one piece; one for each of its first threads; more than one for some of them; and both loops, that of
    # four pieces and that of one, at an end that no block divides.
    check_sizes=[{"rows": rows, "columns": columns} for rows, columns in ((1, 32), (3, 1024), (2, 9216), (1, 61472))],
    # A GPU holds 16 clusters at once where a CTA has a whole SM: the last row takes 192 KiB of each of its eight SMs.
    bench_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in ((16, 32768), (2048, 32768), (1024, 65536), (256, 262144), (160, 393216))
    ],
    # For each element: square, add, scale, multiply by its weight.
    flops=lambda rows, columns: 4 * rows * columns,
)
