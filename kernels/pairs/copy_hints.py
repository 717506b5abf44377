"""copy_hints: y = x, n bytes, four 16-byte loads in flight a thread, under the cache hints of either language."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, u32

BLOCK = 256
VECTOR = 16  # bytes of an access
IN_FLIGHT = 4  # loads of a thread before its first store

PAIR = Pair(
    teaches="A hint changes no byte: what PTX alone can say, L1::no_allocate and L2::256B, against __ldcs and __ldcg.",
    expects=(
        "A tie within 2 % of all but ptx.interleaved, which loses with one load in flight in place of four: nothing is "
        "read twice, so no cache can help. copy_hints.gather and copy_hints.beside have something to win and to lose."
    ),
    args=[
        In("x", u32, lambda n: (n // 4,), widened=False),
        Out("y", u32, lambda n: (n // 4,)),
        Scalar("vectors", u32, lambda n: n // VECTOR),
    ],
    launch=lambda n: Launch(grid=ceil_div(n, VECTOR * IN_FLIGHT * BLOCK), block=BLOCK),
    reference=lambda x, vectors: {"y": x},
    tolerance=EXACT,
    check_sizes=[{"n": n} for n in (16, 16368, 16384, 16400, 1048592)],
    # The second one's x and y together are as large as L2: what --cache warm may keep there.
    bench_sizes=lambda device: [
        {"n": n} for n in (1 << 20, max(1 << 21, device.l2_bytes // 2 // 16384 * 16384), 1 << 28, 1 << 31)
    ],
    flops=lambda n: 0,
    by_request=("cuda.cg", "ptx.l2_128", "ptx.evict_first", "ptx.interleaved"),
)
