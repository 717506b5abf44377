"""w4a16_dequant: y = scale * (W x), W of 4 bits a weight, x of f16, one to 16 of them. A bit trick makes weights f16.

Eight weights are a 32-bit word, the even ones in its lower half: weight 2i lies at bit 4i, weight 2i + 1 at bit
16 + 4i. A nibble q stands for scale[row] * (q - 8). 0x6400 is 1024 in f16, whose last bit counts as 1: with q in
its low bits it is 1024 + q. So `(word >> 4i) & 0x000f000f | 0x64006400` is the two weights 2i and 2i + 1, plus 1024.
"""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, ceil_div, f16, f32, relative, u32

BLOCK = 256  # threads: eight warps, each of one row
ROWS_PER_CTA = BLOCK // 32
PACK = 8  # weights of a word
TREE, SHUFFLES = 4, 5  # log2 of the products of the two words of a round, and of the lanes: additions
ROWS_AT_ONCE = 64  # of the reference

SHIFTS = np.array([0, 16, 4, 20, 8, 24, 12, 28], np.uint32)
"""Where in its word each of eight weights lies."""


def products(w, x, term=lambda values: values):
    """The sums of the terms of x and of the whole numbers q - 8: shape (batch, rows)."""
    found = np.zeros((len(w), len(x)))
    of_weight = [np.ascontiguousarray(term(x[:, i::PACK]).T) for i in range(PACK)]
    for start in range(0, len(w), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        for shift, elements in zip(SHIFTS, of_weight, strict=True):
            found[rows] += term((w[rows] >> shift & 15) - 8.0) @ elements
    return found.T


def error(words):
    """The greatest relative error of a product's share of y.

    - the product is rounded to f16, by 2**-11: unpacking is exact, and so is the conversion to f32;
    - the additions, each by 2**-24: within a round, of the lane's rounds, of the lanes; and the scale.
    """
    return (1 + 2**-11) * (1 + 2**-24) ** (TREE + ceil_div(int(words), 64) + SHUFFLES + 1) - 1


def scales(rng, shape, rows, columns, batch):
    return rng.uniform(0.005, 0.02, shape)


def size(rows, columns, batch):
    return {"rows": rows, "columns": columns, "batch": batch}


PAIR = Pair(
    teaches="Constants can cost an instruction: `& mask | magic` is one lop3, but C must be kept from knowing magic.",
    expects="PTX, and from sm_90 on cuda.magic, ahead of cuda by up to 8 % at batch 8 and 16, where each vector loads "
    "W from L2 and unpacks it again: their loop is shorter. Near a tie at batch 1, where DRAM sets the same pace.",
    args=[
        In("w", u32, lambda rows, columns, batch: (rows, columns // PACK), integers=(0, 2**32 - 1), widened=False),
        In("scale", f32, lambda rows, columns, batch: (rows,), values=scales),
        In("x", f16, lambda rows, columns, batch: (batch, columns)),
        Out("y", f32, lambda rows, columns, batch: (batch, rows)),
        Scalar("rows", u32, lambda rows, columns, batch: rows),
        Scalar("words", u32, lambda rows, columns, batch: columns // PACK),
        # For cuda.magic; the others have the same constant in their text, so that it cannot vary.
        Scalar("magic", u32, 0x64006400, values=(0x64006400, 0x64006400)),
    ],
    # The vectors of a batch are neighbours in the grid, so that a row of W comes from DRAM once, and then from L2.
    launch=lambda rows, columns, batch: Launch(grid=(batch, ceil_div(rows, ROWS_PER_CTA)), block=BLOCK),
    reference=lambda w, scale, x, rows, words, magic: {"y": products(w, x) * scale},
    tolerance=relative(
        lambda w, scale, x, rows, words, magic: error(words),
        of=lambda w, scale, x, rows, words, magic: products(w, x, np.abs) * np.abs(scale),
        describe="(2^-11 + (K/512 + 10) 2^-24) of the sum of |terms|",
    ),
    exact_on_integers=True,  # products of at most 64 are exact in f16; 1032 of them, 8-fold, stay below 2**20
    check_sizes=[
        size(rows, columns, batch)
        for rows, columns in ((1, 8), (3, 248), (4, 256), (9, 264), (5, 1032))
        for batch in (1, 16)
    ],
    bench_sizes=[
        *(size(4096, 4096, batch) for batch in (1, 4, 8, 16)),
        *(size(14336, 4096, batch) for batch in (1, 16)),
        size(4096, 14336, 1),
        size(32000, 4096, 1),
    ],
    # A weight is multiplied and added.
    flops=lambda rows, columns, batch: 2 * rows * columns * batch,
)
