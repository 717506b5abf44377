"""fp8_gemm_promoted: d = (a bT) scaled by slabs of 128 of k, a of m x k and b of n x k in e4m3, d in bf16, on Hopper.

k is a multiple of 128, m of 4 and n of 8. For each slab, each row of a and each 128 rows of b have a scale.
"""

import numpy as np

from ptxbench.pair import (
    In,
    Launch,
    Out,
    Pair,
    Sample,
    Scalar,
    TensorMap,
    Tolerance,
    bf16,
    ceil_div,
    e4m3,
    f32,
    some_of_product,
    u32,
    wide,
)

TILE = 128  # rows and columns of d that a CTA computes, and rows of b with one scale
SLAB = 128  # columns of a and of b that are multiplied before their sums are scaled
STAGES = 4  # slabs in shared memory
STAGE_BYTES = 2 * TILE * SLAB
WHOLE = 2048**3  # above this number of multiply-adds, the reference has one of every 32 elements of d
ONE_SIGN = 1024  # the k at which all numbers are positive


def sums(a, b, a_scale, b_scale, m, n, k):
    """d, a slab at a time, in float64; of large matrices only some of its elements."""
    columns = np.arange(int(n)) // TILE
    whole = int(m) * int(n) * int(k) <= WHOLE
    at, total = None, 0.0
    for slab in range(int(k) // SLAB):
        part = slice(slab * SLAB, (slab + 1) * SLAB)
        if whole:
            c = wide(a[:, part]) @ wide(b[:, part]).T
            total = total + c * a_scale[slab, :, np.newaxis] * b_scale[columns, slab]
        else:
            at, c = some_of_product(a[:, part], b[:, part].T)
            total = total + c * a_scale[slab, at // int(n)] * b_scale[columns[at % int(n)], slab]
    return total if whole else Sample(at, total)


def bound(expected, inputs):
    """Half a unit of bf16, and 2e-3 of the sum of the magnitudes of the terms.

    The unit cuts 32 products and the sum before them to 13 bits below the greatest of them, and the new sum as well. In
    a model of it, the greatest error of 2000 sums of positive numbers was 7.6e-4 of the terms, at any k.
    """
    magnitudes = {name: np.abs(inputs[name]) for name in ("a", "b", "a_scale", "b_scale")}
    terms = sums(**magnitudes, **{name: inputs[name] for name in "mnk"})
    return 2.0**-8 * np.abs(expected) + 2e-3 * (terms.values if isinstance(terms, Sample) else terms)


def numbers(rng, shape, m, n, k):
    """Of both signs; at one size positive, where a sum that loses bits loses them always in one direction."""
    return rng.uniform(0 if k == ONE_SIGN else -1, 1, shape)


def scales(rng, shape, m, n, k):
    """A scale of its own for each slab; where all numbers are positive, 1, so that a kernel may scale only once."""
    return np.ones(shape) if k == ONE_SIGN else rng.uniform(0.25, 2, shape)


PAIR = Pair(
    purpose="What an FP8 product on Hopper gains by wgmma, and what is wrong without f32 additions every 128 products.",
    args=[
        In("a", e4m3, lambda m, n, k: (m, k), values=numbers, widened=False),
        In("b", e4m3, lambda m, n, k: (n, k), values=numbers, widened=False),
        In("a_scale", f32, lambda m, n, k: (k // SLAB, m), values=scales, integers=(1, 8)),
        In("b_scale", f32, lambda m, n, k: (ceil_div(n, TILE), k // SLAB), values=scales, integers=(1, 8)),
        Out("d", bf16, lambda m, n, k: (m, n)),
        TensorMap("map_a", of="a", box=(SLAB, TILE), swizzle=128),
        TensorMap("map_b", of="b", box=(SLAB, TILE), swizzle=128),
        TensorMap("map_s", of="a_scale", box=(TILE, 1)),
        TensorMap("map_d", of="d", box=(64, 16), swizzle=128),
        Scalar("m", u32, lambda m, n, k: m),
        Scalar("n", u32, lambda m, n, k: n),
        Scalar("k", u32, lambda m, n, k: k),
    ],
    launch=lambda m, n, k: Launch(
        grid=(ceil_div(n, TILE), ceil_div(m, TILE)),
        block=384,
        shared_bytes=STAGES * STAGE_BYTES + 2 * TILE * TILE + 1024,
    ),
    # Halves take twice the space, and rows of 128 are padded by 8. A scale takes 16 floats.
    launches={
        "cuda": lambda m, n, k: Launch(
            grid=(ceil_div(n, TILE), ceil_div(m, TILE)),
            block=256,
            shared_bytes=2 * 2 * TILE * (SLAB + 8) + 4 * 16 * TILE,
        ),
        "tile": lambda m, n, k: Launch(grid=(ceil_div(n, TILE), ceil_div(m, TILE)), block=1),
    },
    reference=lambda a, b, a_scale, b_scale, m, n, k: {"d": sums(a, b, a_scale, b_scale, m, n, k)},
    tolerance=Tolerance("2^-8 |d| + 2e-3 of the sum of |terms|", bound),
    # Sums of 128 products of at most 64 are whole in 13 bits. Times scales of at most 8 * 8 they are below 2**24 up to
    # k = 4096: d is the sum, rounded once. So a promotion that keeps fewer bits than f32 is found.
    exact_on_integers=True,
    # Positive numbers first: in eight slabs one chain of sums loses enough. 136 x 136 has tiles with 8 rows or columns.
    # 72 x 136 x 640 ends in the second warpgroup, and uses a stage twice.
    check_sizes=[
        {"m": m, "n": n, "k": k} for m, n, k in ((64, 256, ONE_SIGN), (128, 128, 128), (136, 136, 384), (72, 136, 640))
    ],
    bench_sizes=[
        {"m": m, "n": n, "k": k}
        for m, n, k in (
            (128, 128, 512),
            (4096, 2112, 7168),
            (4096, 7168, 2048),
            (4096, 4096, 4096),
            (4096, 24576, 1536),
        )
    ],
    # One multiplication and one addition for each product.
    flops=lambda m, n, k: 2 * m * n * k,
    must_fail=("ptx.chain",),
    by_request=("tile",),
    expectation=(
        "PTX wins: the FP8 tensor instruction is wgmma, which C does not have; halves and wmma have half its peak and "
        "reach less of it. ptx.overlap ties with ptx, because the other warpgroup multiplies during a promotion. "
        "ptx.chain would be the fastest, and is wrong: it loses 1.3 % of a sum of 1024 positive products, 12 % of one "
        "of 7168."
    ),
    prediction="only way",
)
