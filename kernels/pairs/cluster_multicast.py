"""cluster_multicast: c = a bT, a of m x k and b of n x k in f16, c in f32: clusters that load a part once, on Hopper.

n and k are multiples of 8.
"""

import dataclasses

from ptxbench.pair import (
    In,
    Launch,
    Out,
    Pair,
    Sample,
    Scalar,
    TensorMap,
    Tolerance,
    ceil_div,
    f16,
    f32,
    some_of_product,
    u32,
    wide,
)

BLOCK = 128
TILE = 64  # rows and columns of c that a CTA computes: few, so that L2 limits the kernel
SLAB = 64  # columns of a and of b that are multiplied at a time: rows of 128 bytes, which are all banks
STAGES = 4  # slabs in shared memory
STAGE_BYTES = 2 * 2 * TILE * SLAB
ALIGNMENT = 1024  # a swizzle of 128 bytes needs stages at multiples of 1024; dynamic shared memory may start elsewhere
WHOLE = 2048**3  # above this number of multiply-adds, the reference has one of every 32 elements of c


def product(a, b, m, n, k):
    """c; of large matrices only some of its elements."""
    return wide(a) @ wide(b).T if int(m) * int(n) * int(k) <= WHOLE else Sample(*some_of_product(a, b.T))


def bound(expected, inputs):
    """Inputs in [-1, 1] keep sums below 2 sqrt(K). For every 16 of K the unit truncates a sum, by at most 2**-22 of it.

    Products of f16 are exact in the unit. K is k rounded up to a whole slab: the zeros of the slab are added too.
    """
    return 3e-8 * (SLAB * ceil_div(int(inputs["k"]), SLAB)) ** 1.5


def clusters(m, n, columns=2, rows=1):
    """A CTA for each tile of 64 x 64, in clusters of `rows` x `columns` tiles; those beyond c store nothing."""
    grid = (columns * ceil_div(n, columns * TILE), rows * ceil_div(m, rows * TILE))
    return Launch(grid=grid, block=BLOCK, cluster=(columns, rows, 1), shared_bytes=STAGES * STAGE_BYTES + ALIGNMENT)


PAIR = Pair(
    purpose="Two CTAs that need the same part of a matrix: one copy by the TMA for both, or a copy for each.",
    args=[
        In("a", f16, lambda m, n, k: (m, k), widened=False),
        In("b", f16, lambda m, n, k: (n, k), widened=False),
        Out("c", f32, lambda m, n, k: (m, n)),
        # Boxes of half a tile: each CTA of a cluster of two copies that much of it.
        TensorMap("map_a", of="a", box=(SLAB, TILE // 2), swizzle=128),
        TensorMap("map_b", of="b", box=(SLAB, TILE // 2), swizzle=128),
        Scalar("m", u32, lambda m, n, k: m),
        Scalar("n", u32, lambda m, n, k: n),
        Scalar("k", u32, lambda m, n, k: k),
    ],
    launch=lambda m, n, k: clusters(m, n),
    launches={
        # Rows of 64 halves are padded by 8.
        "cuda": lambda m, n, k: dataclasses.replace(clusters(m, n), shared_bytes=STAGES * 2 * 2 * TILE * (SLAB + 8)),
        "ptx.square": lambda m, n, k: clusters(m, n, rows=2),
    },
    reference=lambda a, b, m, n, k: {"c": product(a, b, m, n, k)},
    tolerance=Tolerance("3e-8 K^1.5, K = k up to a multiple of 64", bound),
    exact_on_integers=True,  # sums of k products of at most 64
    # The first has more than twice as many slabs as stages, and ends within a tile and a slab in each direction. In the
    # others m and n end in different groups of eight that a warp stores, or a whole CTA of a cluster is beyond c.
    check_sizes=[
        {"m": m, "n": n, "k": k}
        for m, n, k in ((72, 136, 584), (64, 128, 256), (8, 8, 8), (149, 216, 72), (107, 160, 320), (20, 80, 32))
    ],
    bench_sizes=[
        {"m": m, "n": n, "k": k}
        for m, n, k in ((128, 256, 512), *((edge,) * 3 for edge in (2048, 4096, 8192)), (64, 8192, 8192))
    ],
    # One multiplication and one addition for each product.
    flops=lambda m, n, k: 2 * m * n * k,
    expectation=(
        "PTX wins where L2 limits the kernel, as it does with tiles of 64 x 64 on an H100: a slab needs 12 KiB from L2 "
        "instead of 16, so that ptx is up to a third faster than ptx.single, and ptx.square, with 8 KiB, up to twice "
        "as fast. ptx.single ties with C."
    ),
    prediction="wins",
)
