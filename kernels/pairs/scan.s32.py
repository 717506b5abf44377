"""scan.s32: y[i] = x[0] + .. + x[i], in integers. One pass with decoupled look-back, tiles in ticket order."""

import numpy as np

from ptxbench.knobs import Knob
from ptxbench.pair import (
    EXACT,
    In,
    Launch,
    Out,
    Pair,
    Sample,
    Scalar,
    Scratch,
    ceil_div,
    one_of_each,
    pieces,
    s32,
    u32,
    u64,
)

BLOCK = 128
VECTORS = 4  # of four elements each, for each thread
ALL_UP_TO = 1 << 22  # elements; of larger arrays one element in 32 is checked


def checked_indices(n):
    """The indices of the sums that are checked, in order: all, or one in 32 and the last."""
    return np.arange(n) if n <= ALL_UP_TO else one_of_each(n)


def sums(x):
    """The sum of x up to each index of `checked_indices`."""
    indices = checked_indices(x.size)
    total, totals = 0, []
    for start, piece in pieces(x):
        running = total + np.cumsum(piece)
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


def small(rng, shape, n):
    """Numbers whose sums fit well into 32 bits: for 2**28 of them the standard deviation is 2**25.2."""
    return rng.integers(-4096, 4096, shape, np.int32, endpoint=True)


PAIR = Pair(
    purpose=("Integer sums can be subtracted: an exclusive sum then needs no shuffle. redux.sync adds up a look-back."),
    expectation="A tie where data come from DRAM, between both sides and with scan: all move 16 KiB a tile.",
    prediction="ties",
    args=[
        In("x", s32, lambda n: (n,), values=small, legal=(-4096, 4096), widened=False),
        Out("y", s32, lambda n: (n,)),
        Scratch("ticket", u32, lambda n: (1,)),
        Scratch("states", u64, lambda n, **knobs: (tiles(n, **knobs),)),
        Scalar("n", u32, lambda n: n),
    ],
    launch=launch,
    reference=lambda x, n: {"y": Sample(checked_indices(x.size), sums(x)) if x.size > ALL_UP_TO else sums(x)},
    tolerance=EXACT,
    # The last element is once each of a thread's sixteen. Also whole tiles, and more tiles than one look-back reads.
    check_sizes=[
        {"n": n}
        for n in (1, 2, 4, 31, 129, 130, 131, 132, 257, 258, 259, 260, 386, 388, 2047, 2048, 2049, 20_001, 70_017)
    ],
    bench_sizes=[{"n": 1 << k} for k in (18, 22, 26, 28)],
    flops=lambda n: n,
    knobs=[Knob("BLOCK", BLOCK, (32, 64, 128, 256), "threads of a CTA; its tile has 16 elements for each thread")],
)
