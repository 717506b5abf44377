"""hgemm_wgmma: c = a b, a of m x k and b of k x n in f16, c in f32, on the tensor cores of Hopper.

n and k are multiples of 8. Inputs, reference and tolerance are those of hgemm_mma.
"""

import dataclasses

from ptxbench.libraries import Gemm
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

TILE = 128  # rows and columns of c that a CTA computes
SLAB = 64  # columns of a, and rows of b, that are multiplied at a time
WARPGROUP = 128  # threads of four warps
STAGES = 4  # slabs in shared memory
STAGE_BYTES = 2 * (TILE * SLAB + SLAB * TILE)
ALIGNMENT = 1024  # a swizzle of 128 bytes needs stages at multiples of 1024; dynamic shared memory may start elsewhere
WHOLE = 2048**3  # above this number of multiply-adds, the reference has one of every 32 elements of c


def product(a, b, m, n, k):
    """a b; of large matrices only some of its elements."""
    return wide(a) @ wide(b) if int(m) * int(n) * int(k) <= WHOLE else Sample(*some_of_product(a, b))


def bound(expected, inputs):
    """Inputs in [-1, 1] keep sums below 2 sqrt(K). For every 16 of K the unit truncates a sum, by at most 2**-22 of it.

    Products of f16 are exact in the unit. K is k rounded up to a whole slab: the zeros of the slab are added too.
    """
    return 3e-8 * (SLAB * ceil_div(int(inputs["k"]), SLAB)) ** 1.5


def tiled(m, n, width=TILE, threads=3 * WARPGROUP):
    """A CTA for each tile of 128 x `width`."""
    stage_bytes = 2 * SLAB * (TILE + width)
    grid = (ceil_div(n, width), ceil_div(m, TILE))
    return Launch(grid=grid, block=threads, shared_bytes=STAGES * stage_bytes + ALIGNMENT)


def paired(m, n):
    """A cluster of two CTAs for each two tiles next to each other."""
    launch = tiled(m, n)
    columns, rows = launch.grid
    return dataclasses.replace(launch, grid=(2 * ceil_div(columns, 2), rows), cluster=2)


PAIR = Pair(
    purpose="wgmma, the TMA and setmaxnreg, which C lacks, against the tensor cores that wmma reaches.",
    args=[
        In("a", f16, lambda m, n, k: (m, k), widened=False),
        In("b", f16, lambda m, n, k: (k, n), widened=False),
        Out("c", f32, lambda m, n, k: (m, n)),
        # Boxes with rows of 128 bytes, which are all banks: 128 rows of a, and 64 columns of 64 rows of b.
        TensorMap("map_a", of="a", box=(SLAB, TILE), swizzle=128),
        TensorMap("map_b", of="b", box=(64, SLAB), swizzle=128),
        # The same matrices by pieces of 8 elements: the piece's elements, the row, the piece of the row.
        TensorMap(
            "pieces_a",
            of="a",
            box=(8, TILE, SLAB // 8),
            shape=lambda m, n, k: (8, m, k // 8),
            strides=lambda m, n, k: (2 * k, 16),
        ),
        TensorMap(
            "pieces_b",
            of="b",
            box=(8, SLAB, TILE // 8),
            shape=lambda m, n, k: (8, k, n // 8),
            strides=lambda m, n, k: (2 * n, 16),
        ),
        Scalar("m", u32, lambda m, n, k: m),
        Scalar("n", u32, lambda m, n, k: n),
        Scalar("k", u32, lambda m, n, k: k),
    ],
    launch=lambda m, n, k: tiled(m, n),
    launches={
        # Of hgemm_mma: four warps, three stages of 32 of k, and the padding of 16 rows of a and of b.
        "cuda": lambda m, n, k: Launch(
            grid=(ceil_div(n, TILE), ceil_div(m, TILE)), block=128, shared_bytes=3 * STAGE_BYTES // 2 + 512
        ),
        "ptx.nosplit": lambda m, n, k: tiled(m, n, threads=2 * WARPGROUP),
        "ptx.n256": lambda m, n, k: tiled(m, n, width=2 * TILE),
        "ptx.multicast": lambda m, n, k: paired(m, n),
        "tile": lambda m, n, k: Launch(grid=(ceil_div(n, TILE), ceil_div(m, TILE)), block=1),
        "triton": lambda m, n, k: Launch(grid=(ceil_div(n, TILE), ceil_div(m, TILE)), block=1),
    },
    reference=lambda a, b, m, n, k: {"c": product(a, b, m, n, k)},
    tolerance=Tolerance("3e-8 K^1.5, K = k up to a multiple of 64", bound),
    exact_on_integers=True,  # sums of k products of at most 64
    # The first has more than twice as many slabs as stages, and ends within a tile and a slab in each direction.
    # Together the sizes let n end in each group of eight columns that a warp stores, m in both groups of eight rows,
    # and k in each group of eight of a slab. In (127, 128, 32) only m is ragged, in (128, 128, 48) only k, by
    # half a slab.
    check_sizes=[
        {"m": m, "n": n, "k": k}
        for m, n, k in (
            (72, 136, 584),
            (128, 128, 64),
            (128, 128, 48),
            (8, 8, 8),
            (136, 120, 72),
            (195, 264, 200),
            (127, 128, 32),
            *((8 * i - 3, 8 * i, 8 * (i % 8) + 8) for i in range(2, 15)),
        )
    ],
    bench_sizes=[
        {"m": m, "n": n, "k": k}
        for m, n, k in (
            (256, 256, 512),
            *((edge,) * 3 for edge in (2048, 4096, 8192)),
            (128, 4096, 4096),
        )
    ],
    flops=lambda m, n, k: 2 * m * n * k,
    libraries={"cublas": Gemm()},
    by_request=("ptx.noswizzle", "ptx.nosplit", "ptx.multicast", "tile", "triton"),
    expectation=(
        "PTX wins by a factor, because C without asm has neither wgmma nor the TMA: mma.sync, to which wmma compiles, "
        "is said to reach at most 65 % of Hopper's tensor cores. ptx.n256 and ptx.multicast are ahead of ptx at large "
        "sizes, because they need 3/4 of its bytes from L2. ptx.noswizzle is far behind ptx, because the TMA reads 16 "
        "bytes at a time, and ptx.nosplit a little, because a slab has less time to arrive."
    ),
    prediction="only way",
)
