"""scan: y[i] = x[0] + .. + x[i]. One pass with decoupled look-back: tiles of 2048 elements in ticket order."""

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
VECTORS = 4  # of four elements each, for each thread
ALL_UP_TO = 1 << 22  # elements; of larger arrays one element in 32 is checked


def checked_indices(n):
    """The indices of the sums that are checked, in order: all, or one in 32 and the last."""
    return np.arange(n) if n <= ALL_UP_TO else one_of_each(n)


def sums(x, term=lambda piece: piece):
    """The sum of the terms of x up to each index of `checked_indices`."""
    indices = checked_indices(x.size)
    total, totals = 0.0, []
    for start, piece in pieces(x):
        running = total + np.cumsum(term(piece))
        first, last = np.searchsorted(indices, (start, start + piece.size))
        totals.append(running[indices[first:last] - start])
        total = running[-1]
    return np.concatenate(totals)


def tiles(n, BLOCK=BLOCK):  # noqa: N803  knobs are upper case, as macros are
    """CTAs in the grid for n elements."""
    return ceil_div(n, 4 * VECTORS * BLOCK)


def launch(n, BLOCK=BLOCK):  # noqa: N803
    """One CTA for each tile."""
    return Launch(grid=tiles(n, BLOCK), block=BLOCK)


def additions(n, BLOCK=BLOCK):  # noqa: N803
    """The most f32 additions between an element and a sum.

    - in the total of its tile: 3 in the vector, 2 and one for each float4 in the lane of the first warp, 5 in its scan;
    - in the sum before a later tile: at most one a tile. A look-back over k tiles adds k numbers to the tile's total;
    - in the sum itself: the lanes to the left, the totals of this lane one by one, the element within its vector.
    """
    float4s = BLOCK // 32
    return 3 + 2 + float4s + 5 + tiles(n, BLOCK) + 1 + 4 * float4s + 1


PAIR = Pair(
    purpose=(
        "A shuffle or a vote shows the compiler that a whole warp takes a branch; otherwise ptxas duplicates every "
        "shuffle."
    ),
    expectation=(
        "A tie within 1 % where data come from DRAM: the 450 instructions of a tile in C, 430 in PTX, take a tenth of "
        "the time that its 16 KiB take. It fails if the look-back is slower than DRAM."
    ),
    prediction="ties",
    args=[
        In("x", f32, lambda n: (n,), integers=(-64, 64), widened=False),
        Out("y", f32, lambda n: (n,)),
        Scratch("ticket", u32, lambda n: (1,)),
        Scratch("states", u64, lambda n, **knobs: (tiles(n, **knobs),)),
        Scalar("n", u32, lambda n: n),
    ],
    launch=launch,
    reference=lambda x, n: {"y": Sample(checked_indices(x.size), sums(x)) if x.size > ALL_UP_TO else sums(x)},
    # Each addition has a relative error of at most 2**-24, and an element goes through `additions` of them.
    tolerance=relative(
        lambda x, n, **knobs: (1 + 2**-24) ** additions(int(n), **knobs) - 1,
        of=lambda x, n: sums(x, np.abs),
        describe="(32 + n/2048) 2^-24 of the sum of |x|",
    ),
    # With integer inputs every partial sum is an integer below 2**24, in any order: the sum of 2**28 terms from -64 to
    # 64 has a standard deviation of 2**19.2. For 2**26 random real terms it is 4,700 and the bound 66,000: a kernel
    # without look-back would pass. So bench sizes use integers and an exact check.
    exact_on_integers=True,
    timed_on_integers=True,
    # The last element is once each of a thread's sixteen. Also whole tiles, and more tiles than one look-back reads.
    check_sizes=[
        {"n": n}
        for n in (1, 2, 4, 31, 129, 130, 131, 132, 257, 258, 259, 260, 386, 388, 2047, 2048, 2049, 20_001, 70_017)
    ],
    bench_sizes=[{"n": 1 << k} for k in (18, 22, 26, 28)],
    flops=lambda n: n,
    by_request=("cuda.hot", "ptx.hot", "cuda.split"),
    knobs=[Knob("BLOCK", BLOCK, (32, 64, 128, 256), "threads of a CTA; its tile has 16 elements for each thread")],
)
