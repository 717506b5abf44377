"""q4q8_gemv.aos: q4q8_gemv with each block's scale in front of it, as ggml has them: 18 and 34 bytes.

A block of W is ggml's block_q4_0: an f16 scale, then 16 bytes, of which byte j holds element j in its low and element
j + 16 in its high nibble. A block of x is block_q8_0: an f16 scale, then 32 signed bytes.
"""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, ceil_div, f16, f32, relative, u8, u32

BLOCK = 64  # threads: two warps, each of four rows
ROWS_PER_CTA = BLOCK // 32 * 4
QUANTUM = 32  # elements of a block, which share a scale
W_BYTES, X_BYTES = 2 + QUANTUM // 2, 2 + QUANTUM  # of a block
SHUFFLES = 5  # log2 of the lanes: the additions that join the sums of a warp


def scales_of(blocks):
    """The scales of blocks, shape (..., bytes of a block), from their first two bytes."""
    return np.ascontiguousarray(blocks[..., :2], u8).view(f16)[..., 0].astype(np.float64)


def terms(w, x, blocks):
    """What each block adds to y: shape (rows, blocks). The dots are whole numbers below 2**24, which f32 holds."""
    w, x = w.reshape(-1, blocks, W_BYTES), x.reshape(blocks, X_BYTES)
    nibbles = w[..., 2:]
    low, high = np.split(x[..., 2:].view(np.int8).astype(np.float32), 2, axis=1)
    dots = np.einsum("rbk,bk->rb", (nibbles & 15).astype(np.float32), low)
    dots += np.einsum("rbk,bk->rb", (nibbles >> 4).astype(np.float32), high)
    return (dots - 8 * (low + high).sum(axis=1)) * scales_of(w) * scales_of(x)


def packed(scales, payload):
    """Blocks: the bytes of each f16 scale and its payload, shape (..., bytes of payload), one after the other."""
    return np.concatenate([scales.astype(f16)[..., None].view(u8), payload.view(u8)], axis=-1)


def weight_blocks(rng, shape, rows, columns):
    """Scales of either sign, as ggml's: the scale takes that of the block's farthest weight. None is near zero."""
    of_block = (rows, columns // QUANTUM)
    scales = rng.uniform(0.005, 0.02, of_block) * rng.choice([-1, 1], of_block)
    return packed(scales, rng.integers(0, 255, (*of_block, W_BYTES - 2), u8, endpoint=True)).reshape(shape)


def activation_blocks(rng, shape, rows, columns):
    """q8_0 is symmetric: -128 does not occur."""
    blocks = columns // QUANTUM
    elements = rng.integers(-127, 127, (blocks, QUANTUM), np.int8, endpoint=True)
    return packed(rng.uniform(0.01, 0.04, blocks), elements).reshape(shape)


PAIR = Pair(
    teaches="Blocks of 18 bytes at even addresses: aligned words and shifts take half the loads that halves take, in "
    "either language; scales apart spare two thirds of what is left.",
    expects="A tie, and near a tie with q4q8_gemv, which reads as many bytes, as long as DRAM sets the time; with more "
    "instructions and 4.5 times the sectors it is slower where L1 or the issue slots do.",
    by_request=("cuda.halves",),
    args=[
        In("w", u8, lambda rows, columns: (rows, columns // QUANTUM * W_BYTES), values=weight_blocks, widened=False),
        In("x", u8, lambda rows, columns: (columns // QUANTUM * X_BYTES,), values=activation_blocks, widened=False),
        Out("y", f32, lambda rows, columns: (rows,)),
        Scalar("rows", u32, lambda rows, columns: rows),
        Scalar("blocks", u32, lambda rows, columns: columns // QUANTUM),
    ],
    launch=lambda rows, columns: Launch(grid=ceil_div(rows, ROWS_PER_CTA), block=BLOCK),
    reference=lambda w, x, rows, blocks: {"y": terms(w, x, blocks).sum(axis=1)},
    # A dot and the product of two f16 scales are exact in f32. A block's term enters by one fma, and passes those of
    # the lane's later blocks and the shuffles.
    tolerance=relative(
        lambda w, x, rows, blocks: (1 + 2**-24) ** (ceil_div(int(blocks), 32) + SHUFFLES) - 1,
        of=lambda w, x, rows, blocks: np.abs(terms(w, x, blocks)).sum(axis=1),
        describe="(K/1024 + 5) 2^-24 of the sum of |block terms|",
    ),
    by_rows=["w"],
    check_sizes=[
        {"rows": rows, "columns": columns} for rows, columns in ((1, 32), (3, 992), (4, 1024), (9, 1056), (5, 4128))
    ],
    bench_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in ((4096, 4096), (14336, 4096), (4096, 14336), (32000, 4096))
    ],
    # A weight is multiplied and added.
    flops=lambda rows, columns: 2 * rows * columns,
)
