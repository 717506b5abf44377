"""reduce_sum: total += the sum of x. A grid-stride loop of float4, warp shuffles, one atomic addition a CTA."""

import numpy as np

from ptxbench.knobs import Knob
from ptxbench.pair import In, InOut, Launch, Pair, Scalar, ceil_div, f32, pieces, relative, u32

BLOCK = 256
PER_CTA = 4096  # elements a CTA at least: four float4 a thread, so that the loop loops at small sizes too
MOST_CTAS = 1024  # 8 CTAs of 256 threads on each of 128 SMs; beyond that the loop gets longer, not the grid


def ctas(n, PER_CTA=PER_CTA, MOST_CTAS=MOST_CTAS):  # noqa: N803  knobs are upper case, as macros are
    """CTAs of the grid for n elements."""
    return min(ceil_div(n, PER_CTA), MOST_CTAS)


def additions(n, **knobs):
    """The most f32 additions between an element and the total."""
    rounds = ceil_div(n // 4, BLOCK * ctas(n, **knobs))
    inside_float4, warp, block = 2, 5, 3  # each a tree: log2 of 4 elements, of 32 lanes, of 8 warps
    return inside_float4 + rounds + warp + block + ctas(n, **knobs)


def total_of(x, term=lambda piece: piece):
    """The sum of the terms of x, in float64, a piece at a time: at 2**30 elements a whole float64 copy is 8 GiB."""
    return sum((np.sum(term(piece)) for _, piece in pieces(x)), 0.0)


PAIR = Pair(
    teaches="A shuffle's mask names the lanes that execute it, all and no others; a wrong one may seem to work.",
    expects="A tie within 0.5 %, because both loops read DRAM at its full rate; what differs happens once a thread.",
    args=[
        In("x", f32, lambda n: (n,), integers=(-64, 64), widened=False),
        InOut("total", f32, lambda n: (1,)),
        Scalar("n", u32, lambda n: n),
    ],
    launch=lambda n, **knobs: Launch(grid=ctas(n, **knobs), block=BLOCK),
    reference=lambda x, total, n: {"total": total + total_of(x)},
    # Each addition is off by a factor within 1 +- 2**-24, and an element passes `additions` of them.
    tolerance=relative(
        lambda x, total, n, **knobs: (1 + 2**-24) ** additions(int(n), **knobs) - 1,
        of=lambda x, total, n: np.abs(total) + total_of(x, np.abs),
        describe="2^-24 of the sum of |x| an addition",
    ),
    # Of whole numbers every partial sum is one too, and below 2**24, in any order: of 2**30 terms from -64 to 64 the
    # standard deviation is 2**20.2. Of 2**30 random terms it is 19,000, and the bound 66,000: a kernel that adds
    # nothing would pass. So the bench sizes have whole numbers, of which not one may be missing.
    exact_on_integers=True,
    timed_on_integers=True,
    check_sizes=[{"n": n} for n in (1, 255, 257, 4095, 4097, 100_003)],
    bench_sizes=[{"n": 1 << k} for k in (16, 22, 26, 30)],
    flops=lambda n: n,
    # The kernel takes any grid, so that these are the launch's alone.
    knobs=[
        Knob("PER_CTA", PER_CTA, [1 << k for k in range(10, 17)], "elements that a CTA has at least"),
        Knob("MOST_CTAS", MOST_CTAS, [1 << k for k in range(5, 13)], "CTAs of the grid at most"),
    ],
)
