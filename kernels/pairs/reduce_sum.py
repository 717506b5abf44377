"""reduce_sum: total += the sum of x. A grid-stride loop over float4, warp shuffles, one atomic addition a CTA."""

import numpy as np

from ptxbench.pair import In, InOut, Launch, Pair, Scalar, ceil_div, f32, pieces, relative, u32

BLOCK = 256
CHUNK = 4096  # elements that a CTA takes at a time: four float4 a thread


def additions(n):
    """The most f32 additions between an element and the total.

    A grid has g CTAs, at most one for each chunk. Each loops ceil(chunks / g) times, or four times as often if a round
    is one float4. Then g atomic additions follow. The sum of both is greatest for g = 1 or g = chunks.
    """
    inside, rest, warp, block = 4, 16, 5, 3  # trees have log2 of 16 elements, 32 lanes and 8 warps; the rest is a chain
    return inside + rest + warp + block + 4 * ceil_div(n, CHUNK) + 1


def total_of(x, term=lambda piece: piece):
    """The sum of the terms of x, in float64, piece by piece: a float64 copy of 2**30 elements would take 8 GiB."""
    return sum((np.sum(term(piece)) for _, piece in pieces(x)), 0.0)


PAIR = Pair(
    purpose=(
        "The order of instructions decides how many loads are in flight: all loads first, then the additions, in C "
        "and PTX."
    ),
    expectation=(
        "A tie within 0.5 %, because both loops read DRAM at its full rate with the same instructions. .unroll1 ties "
        "too: it has 32 kB an SM in flight, and DRAM's latency needs only 18 kB. Where the latency is longer, it "
        "loses."
    ),
    prediction="ties",
    args=[
        In("x", f32, lambda n, ctas: (n,), integers=(-64, 64), widened=False),
        InOut("total", f32, lambda n, ctas: (1,)),
        Scalar("n", u32, lambda n, ctas: n),
    ],
    launch=lambda n, ctas: Launch(grid=min(ceil_div(n, CHUNK), ctas), block=BLOCK),
    launches={"triton": lambda n, ctas: Launch(grid=min(ceil_div(n, CHUNK), ctas), block=1)},
    reference=lambda x, total, n: {"total": total + total_of(x)},
    # Each addition has a relative error of at most 2**-24, and an element goes through `additions` of them.
    tolerance=relative(
        lambda x, total, n: (1 + 2**-24) ** additions(int(n)) - 1,
        of=lambda x, total, n: np.abs(total) + total_of(x, np.abs),
        describe="2^-24 of the sum of |x| an addition",
    ),
    # With integer inputs every partial sum is an integer below 2**24, in any order: the sum of 2**30 terms from -64 to
    # 64 has a standard deviation of 2**20.2. With random real inputs that is 19,000, and the bound for a million
    # additions is 35 million: a kernel that adds nothing would pass. So bench sizes use integers and an exact check.
    exact_on_integers=True,
    timed_on_integers=True,
    # Few CTAs, so that the loop repeats: nine rounds at the last size.
    check_sizes=[{"n": n, "ctas": 3} for n in (1, 255, 257, 4095, 4096, 4097, 100_003)],
    # As many CTAs as the SMs hold at once. With more data each CTA loops more often; the grid does not grow.
    bench_sizes=lambda device: [{"n": 1 << k, "ctas": device.ctas(BLOCK)} for k in (16, 22, 26, 30)],
    flops=lambda n, ctas: n,
    by_request=("cuda.unroll1", "cuda.unroll4", "ptx.unroll1", "numba", "triton"),
)
