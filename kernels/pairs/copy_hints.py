"""copy_hints: y = x, n bytes. Each thread has four 16-byte loads in flight, with the cache hints of each language."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, u32

BLOCK = 256
VECTOR = 16  # bytes of an access
IN_FLIGHT = 4  # loads that a thread issues before its first store

PAIR = Pair(
    purpose=(
        "Cache hints do not change results. L1::no_allocate and L2::256B, which only PTX has, against __ldcs and "
        "__ldcg."
    ),
    expectation=(
        "All variants tie within 2 %, because nothing is read twice and no cache can help. Only ptx.interleaved "
        "loses: it has one load in flight instead of four. In copy_hints.gather and copy_hints.beside a hint can win "
        "or lose."
    ),
    prediction="ties",
    args=[
        In("x", u32, lambda n: (n // 4,), widened=False),
        Out("y", u32, lambda n: (n // 4,)),
        Scalar("vectors", u32, lambda n: n // VECTOR),
    ],
    launch=lambda n: Launch(grid=ceil_div(n, VECTOR * IN_FLIGHT * BLOCK), block=BLOCK),
    reference=lambda x, vectors: {"y": x},
    tolerance=EXACT,
    check_sizes=[{"n": n} for n in (16, 16368, 16384, 16400, 1048592)],
    # In the second size x and y together are as large as L2, so that --cache warm can keep them there.
    bench_sizes=lambda device: [
        {"n": n} for n in (1 << 20, max(1 << 21, device.l2_bytes // 2 // 16384 * 16384), 1 << 28, 1 << 31)
    ],
    flops=lambda n: 0,
    by_request=("cuda.cg", "ptx.l2_128", "ptx.evict_first", "ptx.interleaved"),
)
