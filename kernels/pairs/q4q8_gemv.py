"""q4q8_gemv: y = W x, W of 4 and x of 8 bits an element, in blocks of 32 with an f16 scale. Four rows a warp, dp4a.

The blocks are q4_0 and q8_0 of ggml, with the scales apart. Byte j of the 16 of a W block holds element j in its low
and element j + 16 in its high nibble; a nibble q stands for scale * (q - 8).
"""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, ceil_div, f16, f32, relative, s8, u8, u32

BLOCK = 64  # threads: two warps, each of four rows
ROWS_PER_CTA = BLOCK // 32 * 4
QUANTUM = 32  # elements of a block, which share a scale
SHUFFLES = 5  # log2 of the lanes: the additions that join the sums of a warp


def terms(w, w_scale, x, x_scale):
    """What each block adds to y: shape (rows, blocks). The dots are whole numbers below 2**24, which f32 holds."""
    nibbles = w.reshape(-1, x_scale.size, QUANTUM // 2)
    low, high = np.split(x.reshape(-1, QUANTUM).astype(np.float32), 2, axis=1)
    dots = np.einsum("rbk,bk->rb", (nibbles & 15).astype(np.float32), low)
    dots += np.einsum("rbk,bk->rb", (nibbles >> 4).astype(np.float32), high)
    return (dots - 8 * (low + high).sum(axis=1)) * w_scale * x_scale


def weight_scales(rng, shape, rows, columns):
    """Of either sign, as ggml's: the scale takes that of the block's farthest weight. None is near zero."""
    return rng.uniform(0.005, 0.02, shape) * rng.choice([-1, 1], shape)


def activation_scales(rng, shape, rows, columns):
    return rng.uniform(0.01, 0.04, shape)


def activations(rng, shape, rows, columns):
    """q8_0 is symmetric: -128 does not occur."""
    return rng.integers(-127, 127, shape, np.int8, endpoint=True)


PAIR = Pair(
    teaches="__dp4a says in C what dp4a says in PTX. Four rows a warp, and a constant that the compiler cannot know, "
    "are worth more than the language.",
    expects="A tie: 0.56 bytes a weight need 2.8 us of an H100's DRAM at 4096 x 4096, the instructions a sixth of it. "
    "The hints can only matter there: ptx beside ptx.nohint, cuda.ldcs beside cuda. Where few warps are resident, "
    "their loads under way may be too few, on both sides.",
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
    # A dot and the product of two f16 scales are exact in f32. A block's term enters by one fma, and passes those of
    # the lane's later blocks and the shuffles.
    tolerance=relative(
        lambda w, w_scale, x, x_scale, rows, blocks: (1 + 2**-24) ** (ceil_div(int(blocks), 32) + SHUFFLES) - 1,
        of=lambda w, w_scale, x, x_scale, rows, blocks: np.abs(terms(w, w_scale, x, x_scale)).sum(axis=1),
        describe="(K/1024 + 5) 2^-24 of the sum of |block terms|",
    ),
    by_rows=["w", "w_scale"],
    exact_on_integers=True,  # 4128 products of at most 8 * 8, times scales of at most 4 * 4, 16-fold: 2**26.1
    check_sizes=[
        {"rows": rows, "columns": columns}  # 65 and 97 blocks end within the third and the fourth of four rounds
        for rows, columns in ((1, 32), (3, 992), (4, 1024), (9, 1056), (2, 2080), (6, 3104), (5, 4128))
    ],
    bench_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in ((4096, 4096), (14336, 4096), (4096, 14336), (32000, 4096))
    ],
    # A weight is multiplied and added.
    flops=lambda rows, columns: 2 * rows * columns,
)
