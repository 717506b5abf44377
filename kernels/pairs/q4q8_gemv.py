"""q4q8_gemv: y = W x, W has 4 and x 8 bits an element, in blocks of 32 with an f16 scale. Four rows a warp, dp4a.

The blocks are q4_0 and q8_0 of ggml, but the scales are in arrays of their own. A block of W has 16 bytes. Byte j holds
element j in its low nibble and element j + 16 in its high nibble. A nibble q means scale * (q - 8).
"""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, ceil_div, f16, f32, relative, s8, u8, u32

BLOCK = 64  # threads: two warps, each with four rows
ROWS_PER_CTA = BLOCK // 32 * 4
QUANTUM = 32  # elements of a block; they share a scale
SHUFFLES = 5  # log2(32): the additions that combine the sums of a warp's lanes


def terms(w, w_scale, x, x_scale, of=lambda values: values):
    """What each block adds to y: shape (rows, blocks). The dot products are integers below 2**24, exact in f32.
    `of`: np.abs for the sums of the magnitudes."""
    nibbles = w.reshape(-1, x_scale.size, QUANTUM // 2)
    low, high = np.split(of(x.reshape(-1, QUANTUM).astype(np.float32)), 2, axis=1)
    dots = np.einsum("rbk,bk->rb", of((nibbles & 15) - np.float32(8)), low)
    dots += np.einsum("rbk,bk->rb", of((nibbles >> 4) - np.float32(8)), high)
    # An infinity times parts of a block, which have both signs, is no number: no kernel need agree on it.
    scale = w_scale * x_scale
    return of(dots * np.where(np.isfinite(scale), scale, np.nan))


def weight_scales(rng, shape, rows, columns):
    """Scales of either sign, as in ggml, where it follows the weight of largest magnitude. None is near zero."""
    return rng.uniform(0.005, 0.02, shape) * rng.choice([-1, 1], shape)


def activation_scales(rng, shape, rows, columns):
    return rng.uniform(0.01, 0.04, shape)


def activations(rng, shape, rows, columns):
    """q8_0 is symmetric, so -128 does not occur."""
    return rng.integers(-127, 127, shape, np.int8, endpoint=True)


PAIR = Pair(
    purpose=(
        "__dp4a in C is the same as dp4a in PTX. Four rows a warp, and a constant that is hidden from the compiler, "
        "gain more than the choice of the language."
    ),
    expectation=(
        "A tie: at 4096 x 4096 and 0.56 bytes a weight, DRAM of an H100 needs 2.8 us and the instructions a sixth of "
        "that. Hints can matter only where DRAM sets the time: compare ptx with ptx.nohint and cuda.ldcs with cuda. "
        "Where few warps are resident, both sides may have too few loads in flight."
    ),
    prediction="ties",
    by_request=("cuda.apart", "cuda.known", "cuda.scalar"),
    args=[
        In("w", u8, lambda rows, columns: (rows, columns // 2), integers=(0, 255), widened=False),
        In("w_scale", f16, lambda rows, columns: (rows, columns // QUANTUM), values=weight_scales, integers=(-4, 4)),
        In("x", s8, lambda rows, columns: (columns,), values=activations, legal=(-127, 127)),
        In("x_scale", f16, lambda rows, columns: (columns // QUANTUM,), values=activation_scales, integers=(-4, 4)),
        Out("y", f32, lambda rows, columns: (rows,)),
        Scalar("rows", u32, lambda rows, columns: rows),
        Scalar("blocks", u32, lambda rows, columns: columns // QUANTUM),
    ],
    launch=lambda rows, columns: Launch(grid=ceil_div(rows, ROWS_PER_CTA), block=BLOCK),
    reference=lambda w, w_scale, x, x_scale, rows, blocks: {"y": terms(w, w_scale, x, x_scale).sum(axis=1)},
    # A dot product and the product of two f16 scales are exact in f32. One fma adds a block's term; the fmas of the
    # lane's later blocks and the additions after the shuffles round it again.
    tolerance=relative(
        lambda w, w_scale, x, x_scale, rows, blocks: (1 + 2**-24) ** (ceil_div(int(blocks), 32) + SHUFFLES) - 1,
        # Not of the blocks' sums: several lanes may share a block, and scale and add their parts of it.
        of=lambda w, w_scale, x, x_scale, rows, blocks: terms(w, w_scale, x, x_scale, np.abs).sum(axis=1),
        describe="(K/1024 + 5) 2^-24 of the sum of |terms|",
    ),
    by_rows=["w", "w_scale"],
    exact_on_integers=True,  # 4128 products of at most 8 * 8, times scales of at most 4 * 4, 16-fold: 2**26.1
    check_sizes=[
        {"rows": rows, "columns": columns}  # 65 and 97 blocks end in the third and the fourth of four rounds
        for rows, columns in ((1, 32), (3, 992), (4, 1024), (9, 1056), (2, 2080), (6, 3104), (5, 4128))
    ],
    bench_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in ((4096, 4096), (14336, 4096), (4096, 14336), (32000, 4096))
    ],
    # One multiplication and one addition for each weight.
    flops=lambda rows, columns: 2 * rows * columns,
)
