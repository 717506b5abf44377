"""reduce_sum.v8: total += the sum of x, by loads of 32 bytes, which need sm_100 or later."""

import numpy as np

from ptxbench.pair import In, InOut, Launch, Pair, Scalar, ceil_div, f32, pieces, relative, u32

BLOCK = 256
CHUNK = 4096  # elements that a CTA takes at a time: two vectors of eight a thread


def additions(n):
    """The most f32 additions between an element and the total; see reduce_sum."""
    inside, rest, warp, block = 4, 16, 5, 3
    return inside + rest + warp + block + ceil_div(n, CHUNK) + 1


def total_of(x, term=lambda piece: piece):
    """The sum of the terms of x, in float64, piece by piece."""
    return sum((np.sum(term(piece)) for _, piece in pieces(x)), 0.0)


PAIR = Pair(
    purpose="From sm_100 on a thread can load 32 bytes at once; in C by a struct that is aligned to 32 bytes.",
    expectation=(
        "A tie: both sides make the same loads of 32 bytes. Also a tie with reduce_sum, because DRAM sets the time; "
        "L1 gets half as many requests."
    ),
    prediction="ties",
    args=[
        In("x", f32, lambda n, ctas: (n,), integers=(-64, 64), widened=False),
        InOut("total", f32, lambda n, ctas: (1,)),
        Scalar("n", u32, lambda n, ctas: n),
    ],
    launch=lambda n, ctas: Launch(grid=min(ceil_div(n, CHUNK), ctas), block=BLOCK),
    reference=lambda x, total, n: {"total": total + total_of(x)},
    tolerance=relative(
        lambda x, total, n: (1 + 2**-24) ** additions(int(n)) - 1,
        of=lambda x, total, n: np.abs(total) + total_of(x, np.abs),
        describe="2^-24 of the sum of |x| an addition",
    ),
    exact_on_integers=True,
    timed_on_integers=True,  # see reduce_sum
    check_sizes=[{"n": n, "ctas": 3} for n in (1, 257, 4095, 4096, 100_003)],
    bench_sizes=lambda device: [{"n": 1 << k, "ctas": device.ctas(BLOCK)} for k in (16, 22, 26, 30)],
    flops=lambda n, ctas: n,
)
