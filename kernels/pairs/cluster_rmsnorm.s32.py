"""cluster_rmsnorm.s32: y[r][c] = x[r][c] * w[c] / sqrt(mean(x[r]^2) + eps) of integers x, such as the sums of a product
of 8-bit matrices. |x| is at most 2^20, and the number of columns is a multiple of 32.
"""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, f32, relative, s32, u32

CLUSTER = 8  # CTAs that share a row
BLOCK = 256
GREATEST = 1 << 20  # a sum of 2^24 squares fits into 64 bits, and a number of x into a float


def rmsnorm(x, w, eps):
    """Each row of x divided by the square root of its mean square plus eps, times w."""
    return x * w / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + eps)


def numbers(rng, shape, rows, columns):
    """Row by row up to 2, so that eps matters; up to GREATEST, so that squares need 64 bits; and up to 1024."""
    most = np.resize([2, GREATEST, 1024], (rows, 1))
    return rng.integers(-most, most + 1, shape)


def weights(rng, shape, rows, columns):
    """Around one, as in trained models; far from zero, so that each weight matters."""
    return rng.uniform(0.5, 1.5, shape)


PAIR = Pair(
    purpose="Integers can be added where they arrive: red.async needs no sums in between, but a zero to start from.",
    expectation=(
        "A tie: memory sets the time, and both sides release the zero by a fence of memory. PTX saves the second "
        "barrier of the cluster and its fence, which may show for a single wave of rows."
    ),
    prediction="ties",
    args=[
        In("x", s32, lambda rows, columns: (rows, columns), values=numbers, legal=(-GREATEST, GREATEST)),
        In("w", f32, lambda rows, columns: (columns,), values=weights),
        Out("y", f32, lambda rows, columns: (rows, columns)),
        Scalar("eps", f32, 1.0, values=(0.5, 4.0)),
        Scalar("columns", u32, lambda rows, columns: columns),
    ],
    launch=lambda rows, columns: Launch(
        grid=CLUSTER * rows, block=BLOCK, cluster=CLUSTER, shared_bytes=columns * 4 // CLUSTER
    ),
    reference=lambda x, w, eps, columns: {"y": rmsnorm(x, w, eps)},
    # In units of u = 2**-24, to the first order. The sum is exact. Its conversion to f32 is 1, the reciprocal of the
    # columns 4 (2 ulp) and the fma 1; the square root halves them. rsqrt.approx is 2^-22.9, which is 2.15 u, and the
    # multiplications by the result and by w are 2.
    tolerance=relative(
        ((1 + 4 + 1) / 2 + 2.15 + 2) * 2**-24,
        of=lambda x, w, eps, columns: np.abs(rmsnorm(x, w, eps)),
        describe="8 2^-24 of |y|",
    ),
    by_rows=["x"],
    check_sizes=[{"rows": rows, "columns": columns} for rows, columns in ((1, 32), (3, 1024), (2, 9216), (2, 61472))],
    bench_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in ((16, 32768), (2048, 32768), (1024, 65536), (256, 262144), (160, 393216))
    ],
    # For each element: scale, multiply by its weight. Squares and sums are of integers.
    flops=lambda rows, columns: 2 * rows * columns,
)
