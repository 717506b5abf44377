"""scan: y[i] = x[0] + .. + x[i]. One pass with decoupled look-back: tiles of 2048 elements, numbered by a ticket."""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Sample, Scalar, Scratch, ceil_div, f32, relative, u32, u64

BLOCK = 256
TILE = 8 * BLOCK  # elements, two float4 a thread
ALL_UP_TO = 1 << 22  # elements; of more, the sums of float64 and of |x| would be most of a run
STEP = 65_521  # prime, so that what is looked at lies anywhere in a tile


def places(n):
    """Which sums are held against the kernel's, in order: all, or one in STEP and the last."""
    return np.arange(n) if n <= ALL_UP_TO else np.append(np.arange(STEP - 1, n - 1, STEP), n - 1)


def sums(x):
    """The sum of x up to each of its `places`."""
    at = places(x.size)
    return np.cumsum(x if at.size == x.size else np.add.reduceat(x, np.append(0, at[:-1] + 1)))


def additions(n):
    """The most f32 additions between an element and a sum.

    - to the total of its tile: 3 in the thread's vector, 5 in the warp's scan, 1 of the warp's vectors a and b, 3 in
      the scan of the warps;
    - to the sum before a later tile: one a tile at most. A look back over k tiles adds k numbers to the tile's own;
    - to the sum itself: the warp's base, the vector's, the element's.
    """
    return 3 + 5 + 1 + 3 + ceil_div(n, TILE) + 3


PAIR = Pair(
    teaches="Fewer is not faster: shfl.sync.up's predicate spares a warp's scan its compares, memory sets the time.",
    expects="A tie in DRAM: the instructions that PTX saves a tile are hidden behind the 16 KiB that it moves.",
    args=[
        In("x", f32, lambda n: (n,)),
        Out("y", f32, lambda n: (n,)),
        Scratch("ticket", u32, lambda n: (1,)),
        Scratch("states", u64, lambda n: (ceil_div(n, TILE),)),
        Scalar("n", u32, lambda n: n),
    ],
    launch=lambda n: Launch(grid=ceil_div(n, TILE), block=BLOCK),
    reference=lambda x, n: {"y": Sample(places(x.size), sums(x)) if x.size > ALL_UP_TO else sums(x)},
    # Each addition is off by a factor within 1 +- 2**-24, and an element passes `additions` of them.
    tolerance=relative(
        lambda x, n: (1 + 2**-24) ** additions(int(n)) - 1,
        of=lambda x, n: sums(np.abs(x)),
        describe="(15 + n/2048) 2^-24 of the sum of |x|",
    ),
    exact_on_integers=True,  # every partial sum of the check sizes is a whole number below 2**24
    # Around the vectors of a warp, the tile, and more tiles than a warp looks back at at once.
    check_sizes=[{"n": n} for n in (1, 2, 4, 31, 33, 130, 132, 2047, 2048, 2049, 20_001, 70_017)],
    bench_sizes=[{"n": 1 << k} for k in (18, 22, 26, 28)],
    flops=lambda n: n,
)
