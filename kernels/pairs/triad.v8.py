"""triad.v8: a[i] = b[i] + s * c[i], 32 bytes an access, which sm_100 and later have. A ragged end."""

from ptxbench.pair import In, Launch, Out, Pair, Scalar, ceil_div, f32, u32, ulps

BLOCK = 256
VECTOR = 8  # elements a thread: 32 bytes

PAIR = Pair(
    teaches="From sm_100 on a thread may load 32 bytes at once; C says so by a struct that is aligned to 32.",
    expects=(
        "A tie: on both sides one access moves 32 bytes. Against ptx.v4, with two of 16 in its place, too, since "
        "memory sets the time; L1 has half as many requests."
    ),
    args=[
        Out("a", f32, lambda n: (n,)),
        In("b", f32, lambda n: (n,)),
        In("c", f32, lambda n: (n,)),
        Scalar("s", f32, 0.7),
        Scalar("n", u32, lambda n: n),
    ],
    launch=lambda n: Launch(grid=ceil_div(n, VECTOR * BLOCK), block=BLOCK),
    reference=lambda b, c, s, n: {"a": b + s * c},
    tolerance=ulps(1),  # as of triad
    by_rows=["b", "c"],
    check_sizes=[{"n": n} for n in (1, 7, 8, 2047, 2048, 2049, 65543)],
    bench_sizes=[{"n": 1 << k} for k in (16, 22, 25, 28)],
    flops=lambda n: 2 * n,
)
