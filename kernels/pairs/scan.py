"""scan: y[i] = x[0] + .. + x[i]. One pass with decoupled look-back: tiles of 2048 elements, numbered by a ticket."""

import numpy as np

from ptxbench.knobs import Knob
from ptxbench.pair import (
    In,
    Launch,
    Out,
    Pair,
    Sample,
    Scalar,
    Scratch,
    ceil_div,
    f32,
    one_of_each,
    pieces,
    relative,
    u32,
    u64,
)

BLOCK = 128
VECTORS = 4  # a thread's, of four elements
ALL_UP_TO = 1 << 22  # elements; of more, one of each 32 neighbours is looked at


def places(n):
    """Which sums are held against the kernel's, in order: all, or one of each 32 neighbours and the last."""
    return np.arange(n) if n <= ALL_UP_TO else one_of_each(n)


def sums(x, term=lambda piece: piece):
    """The sum of the terms of x up to each of its `places`."""
    at = places(x.size)
    total, found = 0.0, []
    for start, piece in pieces(x):
        running = total + np.cumsum(term(piece))
        first, last = np.searchsorted(at, (start, start + piece.size))
        found.append(running[at[first:last] - start])
        total = running[-1]
    return np.concatenate(found)


def tiles(n, BLOCK=BLOCK):  # noqa: N803  knobs are upper case, as macros are
    """CTAs of the grid for n elements."""
    return ceil_div(n, 4 * VECTORS * BLOCK)


def launch(n, BLOCK=BLOCK):  # noqa: N803
    """A CTA a tile."""
    return Launch(grid=tiles(n, BLOCK), block=BLOCK)


def additions(n, BLOCK=BLOCK):  # noqa: N803
    """The most f32 additions between an element and a sum.

    - to the total of its tile: 3 in the vector, 2 and one a float4 in the lane of the first warp, 5 in its scan;
    - to the sum before a later tile: one a tile at most. A look back over k tiles adds k numbers to the tile's own;
    - to the sum itself: the lanes to the left, the totals of this lane one by one, the element's own place.
    """
    float4s = BLOCK // 32
    return 3 + 2 + float4s + 5 + tiles(n, BLOCK) + 1 + 4 * float4s + 1


PAIR = Pair(
    teaches="C can say that a branch takes a whole warp, by a shuffle or a vote; else ptxas copies every shuffle.",
    expects=(
        "A tie in DRAM within 1 %: a tile's 450 instructions in C, 430 in PTX, take a tenth of the time of its 16 KiB. "
        "It fails where the look-back is slower than DRAM."
    ),
    args=[
        In("x", f32, lambda n: (n,), integers=(-64, 64), widened=False),
        Out("y", f32, lambda n: (n,)),
        Scratch("ticket", u32, lambda n: (1,)),
        Scratch("states", u64, lambda n, **knobs: (tiles(n, **knobs),)),
        Scalar("n", u32, lambda n: n),
    ],
    launch=launch,
    reference=lambda x, n: {"y": Sample(places(x.size), sums(x)) if x.size > ALL_UP_TO else sums(x)},
    # Each addition is off by a factor within 1 +- 2**-24, and an element passes `additions` of them.
    tolerance=relative(
        lambda x, n, **knobs: (1 + 2**-24) ** additions(int(n), **knobs) - 1,
        of=lambda x, n: sums(x, np.abs),
        describe="(32 + n/2048) 2^-24 of the sum of |x|",
    ),
    # Of whole numbers every partial sum is one too, and below 2**24, in any order: of 2**28 terms from -64 to 64 the
    # standard deviation is 2**19.2. Of 2**26 random terms it is 4,700, and the bound 66,000: a look-back that is left
    # out would pass. So the bench sizes have whole numbers, of which not one may be missing.
    exact_on_integers=True,
    timed_on_integers=True,
    # The last element is each of a thread's sixteen once; whole tiles; more tiles than a warp looks back at at once.
    check_sizes=[
        {"n": n}
        for n in (1, 2, 4, 31, 129, 130, 131, 132, 257, 258, 259, 260, 386, 388, 2047, 2048, 2049, 20_001, 70_017)
    ],
    bench_sizes=[{"n": 1 << k} for k in (18, 22, 26, 28)],
    flops=lambda n: n,
    by_request=("cuda.hot", "ptx.hot", "cuda.split"),
    knobs=[Knob("BLOCK", BLOCK, (32, 64, 128, 256), "threads of a CTA, whose tile has 16 elements a thread")],
)
