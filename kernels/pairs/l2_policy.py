"""l2_policy: y[i] = x[i] + T[row of a hash of i / 32][i % 32]. x and y stream through L2; T should stay in it."""

import numpy as np

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Sample, Scalar, ceil_div, f32, one_of_each, u32, wide

BLOCK = 256
VECTOR = 4  # elements a thread: one float4
ROW = 32  # elements: 128 bytes, a line of L2
ALL_UP_TO = 1 << 22  # elements; above this the reference is a sample: random reads of the table are slow

STREAM = 10  # x and y are each this many times as large as L2


def rows_of(group, rows):
    """The row of the table that each group of 32 elements uses."""
    low = np.uint64(0xFFFFFFFF)
    hashed = group.astype(np.uint64) * np.uint64(0x9E3779B1) & low
    hashed ^= hashed >> np.uint64(15)
    hashed = hashed * np.uint64(0x85EBCA77) & low
    return (hashed * np.uint64(rows) >> np.uint64(32)).astype(np.int64)


def reference(x, table, rows, n):
    """All of y, or one element in 32, which still checks every row that is read."""
    at = np.arange(n) if n <= ALL_UP_TO else one_of_each(int(n), ROW)
    y = wide(x[at]) + wide(table[rows_of(at // ROW, rows), at % ROW])
    # The result of one f32 addition. Rounding to 53 bits first is harmless, because 53 is more than 2 * 24 + 1.
    y = y.astype(np.float32).astype(np.float64)
    return {"y": y if at.size == n else Sample(at, y)}


def of_l2(device, share, aside):
    """A table of that share of the device's L2, a stream of STREAM times L2, and the percentage of L2 set aside."""
    return {"n": STREAM * device.l2_bytes // 4, "rows": int(share * device.l2_bytes) // (4 * ROW), "aside": aside}


PAIR = Pair(
    purpose=(
        "C can mark lines to be evicted from L2 first; PTX also lines to be evicted last. A table between two streams."
    ),
    expectation=(
        "PTX gains 0 to 20 % for tables of half of L2 up to all of it. A tie for tables below a quarter of L2, which "
        "fit anyway, and for tables that cannot fit."
    ),
    prediction="wins",
    args=[
        In("x", f32, lambda n, **_: (n,), widened=False),
        In("table", f32, lambda rows, **_: (rows, ROW), widened=False),
        Out("y", f32, lambda n, **_: (n,)),
        Scalar("rows", u32, lambda rows, **_: rows),
        Scalar("n", u32, lambda n, **_: n),
    ],
    launch=lambda n, aside, **_: Launch(grid=ceil_div(n, VECTOR * BLOCK), block=BLOCK, set_aside=aside),
    reference=reference,
    tolerance=EXACT,
    check_sizes=[{"n": n, "rows": rows, "aside": 0} for n in (1, 1023, 1024, 1025, 65_537) for rows in (1, 32)],
    bench_sizes=lambda device: [
        {"n": 1 << 20, "rows": 4096, "aside": 0},
        *(of_l2(device, share, aside) for share in (0.25, 0.5, 0.75, 1.1, 1.5) for aside in (0, 100)),
    ],
    flops=lambda n, **_: n,
    by_request=("cuda.two", "ptx.first", "ptx.half", "ptx.half_rows"),
)
