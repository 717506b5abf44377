"""reduce_sum: total += the sum of x. A grid-stride loop of float4, warp shuffles, one atomic addition a CTA."""

import numpy as np

from ptxbench.pair import In, InOut, Launch, Pair, Scalar, ceil_div, f32, pieces, relative, u32

BLOCK = 256
CHUNK = 4096  # elements that a CTA takes at a time: four float4 a thread


def additions(n):
    """The most f32 additions between an element and the total.

    A grid of g CTAs, one a chunk at most, goes round ceil(chunks / g) times, or four times as often where a round is
    one float4; and g atomic additions wait for each other. Both together are the most where g is 1 or all are g.
    """
    inside, rest, warp, block = 4, 16, 5, 3  # trees: log2 of 16 elements, of 32 lanes, of 8 warps; but the rest
    return inside + rest + warp + block + 4 * ceil_div(n, CHUNK) + 1


def total_of(x, term=lambda piece: piece):
    """The sum of the terms of x, in float64, a piece at a time: at 2**30 elements a whole float64 copy is 8 GiB."""
    return sum((np.sum(term(piece)) for _, piece in pieces(x)), 0.0)


PAIR = Pair(
    teaches="How many loads are under way is a matter of order: all loads before the first addition, in C as in PTX.",
    expects=(
        "A tie within 0.5 %, because both loops read DRAM at its full rate with equal instructions; .unroll1 ties too, "
        "as 32 kB an SM under way are more than the 18 kB that DRAM's latency asks for; it fails where that is longer."
    ),
    args=[
        In("x", f32, lambda n, ctas: (n,), integers=(-64, 64), widened=False),
        InOut("total", f32, lambda n, ctas: (1,)),
        Scalar("n", u32, lambda n, ctas: n),
    ],
    launch=lambda n, ctas: Launch(grid=min(ceil_div(n, CHUNK), ctas), block=BLOCK),
    reference=lambda x, total, n: {"total": total + total_of(x)},
    # Each addition is off by a factor within 1 +- 2**-24, and an element passes `additions` of them.
    tolerance=relative(
        lambda x, total, n: (1 + 2**-24) ** additions(int(n)) - 1,
        of=lambda x, total, n: np.abs(total) + total_of(x, np.abs),
        describe="2^-24 of the sum of |x| an addition",
    ),
    # Of whole numbers every partial sum is one too, and below 2**24, in any order: of 2**30 terms from -64 to 64 the
    # standard deviation is 2**20.2. Of 2**30 random terms it is 19,000, and the bound for a million additions 35
    # million: a kernel that adds nothing would pass. So the bench sizes have whole numbers, and none may be missing.
    exact_on_integers=True,
    timed_on_integers=True,
    # Few CTAs, so that the loop loops: nine rounds of the last.
    check_sizes=[{"n": n, "ctas": 3} for n in (1, 255, 257, 4095, 4096, 4097, 100_003)],
    # As many CTAs as the SMs hold at once; beyond that the loop gets longer, not the grid.
    bench_sizes=lambda device: [{"n": 1 << k, "ctas": device.ctas(BLOCK)} for k in (16, 22, 26, 30)],
    flops=lambda n, ctas: n,
    by_request=("cuda.unroll1", "cuda.unroll4", "ptx.unroll1"),
)
