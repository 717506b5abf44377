"""w4a16_dequant.mixed: like w4a16_dequant, for sm_100 and later, by an fma with f16 factors and an f32 sum.

If the exponent field of an f16 is 0, its value is its low bits times 2^-24. So `word & 0x000f000f` is weights 0 and 1
of a word, and `word & 0x00f000f0` is weights 2 and 3 times 16.
"""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, ceil_div, f16, f32, relative, u32

BLOCK = 64  # threads: two warps, each with four rows
ROWS_PER_CTA = BLOCK // 32 * 4
PACK = 8  # weights in a word
AFTER = 8  # roundings after a lane's last word: joining its sums, joining the lanes, the scale
ROWS_AT_ONCE = 64  # rows that the reference computes at once

SHIFTS = np.array([0, 16, 4, 20, 8, 24, 12, 28], np.uint32)
"""The bit position of each of the eight weights in its word."""


def products(w, x, term=lambda values: values):
    """The products of the terms of x and of the integers q - 8, summed: shape (batch, rows)."""
    summed = np.zeros((len(w), len(x)))
    of_weight = [np.ascontiguousarray(term(x[:, i::PACK]).T) for i in range(PACK)]
    for start in range(0, len(w), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        for shift, elements in zip(SHIFTS, of_weight, strict=True):
            summed[rows] += term((w[rows] >> shift & 15) - 8.0) @ elements
    return summed.T


def bound(w, scale, x, rows, words):
    """The greatest error of y. Every addition rounds by 2**-24 of a sum of at most (q + 8) |x|: eight for each word of
    the lane, and AFTER more."""
    roundings = PACK * ceil_div(int(words), 32) + AFTER
    magnitude = np.abs(x)
    terms = products(w, magnitude) + 16 * magnitude.sum(axis=1, keepdims=True)  # q + 8 is q - 8 + 16
    return ((1 + 2**-24) ** roundings - 1) * terms * np.abs(scale)


def scales(rng, shape, rows, columns, batch):
    return rng.uniform(0.005, 0.02, shape)


def size(rows, columns, batch):
    return {"rows": rows, "columns": columns, "batch": batch}


PAIR = Pair(
    purpose="PTX has an fma with f16 factors and an f32 sum (FHFMA from sm_100 on). NVRTC never generates it.",
    expectation=(
        "At batch 8 and 16 PTX is 1.35 to 1.40 times as fast if FHFMA issues at the rate of FFMA, for which there is "
        "no source; at half that rate a tie. At batch 1 a tie, because DRAM sets the time."
    ),
    prediction="wins",
    args=[
        In("w", u32, lambda rows, columns, batch: (rows, columns // PACK), integers=(0, 2**32 - 1), widened=False),
        In("scale", f32, lambda rows, columns, batch: (rows,), values=scales),
        In("x", f16, lambda rows, columns, batch: (batch, columns)),
        Out("y", f32, lambda rows, columns, batch: (batch, rows)),
        Scalar("rows", u32, lambda rows, columns, batch: rows),
        Scalar("words", u32, lambda rows, columns, batch: columns // PACK),
    ],
    # The vectors of a batch are neighbours in the grid, so that a row of W comes from DRAM once and then from L2.
    launch=lambda rows, columns, batch: Launch(grid=(batch, ceil_div(rows, ROWS_PER_CTA)), block=BLOCK),
    reference=lambda w, scale, x, rows, words: {"y": products(w, x) * scale},
    tolerance=relative(
        1.0,
        of=bound,
        describe="(K/32 + 8) 2^-24 of the sum of (q + 8) |x|",
    ),
    exact_on_integers=True,  # sums stay below 2**24 times their last bit
    check_sizes=[
        size(rows, columns, batch)
        for rows, columns in ((1, 8), (3, 248), (12, 264), (2, 520), (6, 776), (5, 1032))  # end in each of four rounds
        for batch in (1, 16)
    ],
    bench_sizes=[
        *(size(4096, 4096, batch) for batch in (1, 4, 8, 16)),
        *(size(14336, 4096, batch) for batch in (1, 16)),
        size(4096, 14336, 1),
        size(32000, 4096, 1),
    ],
    # One multiplication and one addition for each weight.
    flops=lambda rows, columns, batch: 2 * rows * columns * batch,
)
