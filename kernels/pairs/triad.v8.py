"""triad.v8: a[i] = b[i] + s * c[i], by accesses of 32 bytes, which need sm_100 or later. A ragged end."""

from ptxbench.pair import In, Launch, Out, Pair, Scalar, ceil_div, f32, u32, ulps

BLOCK = 256
VECTOR = 8  # elements of a thread: 32 bytes

PAIR = Pair(
    purpose="From sm_100 on a thread can load 32 bytes at once; in C by a struct that is aligned to 32 bytes.",
    expectation=(
        "A tie: on both sides one access moves 32 bytes. Also a tie with ptx.v4, which makes two accesses of 16 "
        "bytes, because memory sets the time; with 32 bytes L1 gets half as many requests."
    ),
    prediction="ties",
    args=[
        Out("a", f32, lambda n: (n,)),
        In("b", f32, lambda n: (n,)),
        In("c", f32, lambda n: (n,)),
        Scalar("s", f32, 0.7),
        Scalar("n", u32, lambda n: n),
    ],
    launch=lambda n: Launch(grid=ceil_div(n, VECTOR * BLOCK), block=BLOCK),
    reference=lambda b, c, s, n: {"a": b + s * c},
    tolerance=ulps(1),  # see triad
    by_rows=["b", "c"],
    check_sizes=[{"n": n} for n in (1, 7, 8, 2047, 2048, 2049, 65543)],
    bench_sizes=[{"n": 1 << k} for k in (16, 22, 25, 28)],
    flops=lambda n: 2 * n,
)
