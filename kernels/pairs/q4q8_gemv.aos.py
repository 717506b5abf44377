"""q4q8_gemv.aos: like q4q8_gemv, but each block starts with its scale, as in ggml: 18 and 34 bytes a block.

A block of W is ggml's block_q4_0: an f16 scale, then 16 bytes. Byte j holds element j in its low nibble and element
j + 16 in its high nibble. A block of x is block_q8_0: an f16 scale, then 32 signed bytes.
"""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, ceil_div, f16, f32, relative, u8, u32

BLOCK = 64  # threads: two warps, each with four rows
ROWS_PER_CTA = BLOCK // 32 * 4
QUANTUM = 32  # elements of a block; they share a scale
W_BYTES, X_BYTES = 2 + QUANTUM // 2, 2 + QUANTUM  # bytes of a block
SHUFFLES = 5  # log2(32): the additions that combine the sums of a warp's lanes


def scales_of(blocks):
    """The scales of blocks, shape (..., bytes of a block): the first two bytes of each."""
    return np.ascontiguousarray(blocks[..., :2], u8).view(f16)[..., 0].astype(np.float64)


def terms(w, x, blocks, of=lambda values: values):
    """What each block adds to y: shape (rows, blocks). The dot products are integers below 2**24, exact in f32.
    `of`: np.abs for the sums of the magnitudes."""
    w, x = w.reshape(-1, blocks, W_BYTES), x.reshape(blocks, X_BYTES)
    nibbles = w[..., 2:]
    low, high = np.split(of(x[..., 2:].view(np.int8).astype(np.float32)), 2, axis=1)
    dots = np.einsum("rbk,bk->rb", of((nibbles & 15) - np.float32(8)), low)
    dots += np.einsum("rbk,bk->rb", of((nibbles >> 4) - np.float32(8)), high)
    return of(dots * scales_of(w) * scales_of(x))


def packed(scales, payload):
    """Blocks: the bytes of each f16 scale, followed by those of its payload, shape (..., bytes of payload)."""
    return np.concatenate([scales.astype(f16)[..., None].view(u8), payload.view(u8)], axis=-1)


def weight_blocks(rng, shape, rows, columns):
    """Scales of either sign, as in ggml, where it follows the weight of largest magnitude. None is near zero.

    In one block of eight all nibbles are the greatest, and so are all elements of x there: a dot product of the
    nibbles, without the - 8, does not fit into 16 bits.
    """
    of_block = (rows, columns // QUANTUM)
    scales = rng.uniform(0.005, 0.02, of_block) * rng.choice([-1, 1], of_block)
    nibbles = rng.integers(0, 255, (*of_block, W_BYTES - 2), u8, endpoint=True)
    nibbles[:, 1::8] = 0xFF
    return packed(scales, nibbles).reshape(shape)


def activation_blocks(rng, shape, rows, columns):
    """q8_0 is symmetric, so -128 does not occur."""
    blocks = columns // QUANTUM
    elements = rng.integers(-127, 127, (blocks, QUANTUM), np.int8, endpoint=True)
    elements[1::8] = 127
    return packed(rng.uniform(0.01, 0.04, blocks), elements).reshape(shape)


PAIR = Pair(
    purpose=(
        "Blocks of 18 bytes are aligned to 2 bytes only. Aligned words and shifts need half the loads that 16-bit "
        "loads need, in either language; moving the scales to their own array saves two thirds of the rest."
    ),
    expectation=(
        "A tie. While DRAM sets the time, also nearly a tie with q4q8_gemv, which reads as many bytes. Where L1 or "
        "the issue slots set the time, it is slower: it has more instructions and 4.5 times the sectors."
    ),
    prediction="ties",
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
    # A dot product and the product of two f16 scales are exact in f32. One fma adds a block's term; the fmas of the
    # lane's later blocks and the additions after the shuffles round it again.
    tolerance=relative(
        lambda w, x, rows, blocks: (1 + 2**-24) ** (ceil_div(int(blocks), 32) + SHUFFLES) - 1,
        # Not of the blocks' sums: several lanes may share a block, and scale and add their parts of it.
        of=lambda w, x, rows, blocks: terms(w, x, blocks, np.abs).sum(axis=1),
        describe="(K/1024 + 5) 2^-24 of the sum of |terms|",
    ),
    by_rows=["w"],
    check_sizes=[
        {"rows": rows, "columns": columns} for rows, columns in ((1, 32), (3, 992), (4, 1024), (9, 1056), (5, 4128))
    ],
    bench_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in ((4096, 4096), (14336, 4096), (4096, 14336), (32000, 4096))
    ],
    # One multiplication and one addition for each weight.
    flops=lambda rows, columns: 2 * rows * columns,
)
