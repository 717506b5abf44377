"""l2_policy: y[i] = x[i] + T[row of a hash of i / 32][i % 32]. x and y stream through L2, the table T should stay."""

import numpy as np

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Sample, Scalar, ceil_div, f32, one_of_each, u32, wide

BLOCK = 256
VECTOR = 4  # elements a thread: one float4
ROW = 32  # elements: 128 bytes, a line of L2
ALL_UP_TO = 1 << 22  # elements; of more, the random reads of the table would be most of a run

STREAM = 10  # times L2: x and y each


def rows_of(group, rows):
    """The row of the table for each group of 32 elements."""
    low = np.uint64(0xFFFFFFFF)
    hashed = group.astype(np.uint64) * np.uint64(0x9E3779B1) & low
    hashed ^= hashed >> np.uint64(15)
    hashed = hashed * np.uint64(0x85EBCA77) & low
    return (hashed * np.uint64(rows) >> np.uint64(32)).astype(np.int64)


def reference(x, table, rows, n):
    """All of y, or one element of each 32: each row that is read is looked at."""
    at = np.arange(n) if n <= ALL_UP_TO else one_of_each(int(n), ROW)
    y = wide(x[at]) + wide(table[rows_of(at // ROW, rows), at % ROW])
    # What one addition of f32 gives: 53 bits are more than 2 * 24 + 1, so that having rounded to them changes nothing.
    y = y.astype(np.float32).astype(np.float64)
    return {"y": y if at.size == n else Sample(at, y)}


def of_l2(device, share, aside):
    """A table of that share of the device's L2, a stream of many times L2, and a percentage of L2 set aside."""
    return {"n": STREAM * device.l2_bytes // 4, "rows": int(share * device.l2_bytes) // (4 * ROW), "aside": aside}


PAIR = Pair(
    teaches="C can say what leaves L2 first, PTX also what leaves it last: residency for a table between two streams.",
    expects="0 to 20 % for tables of half of L2 to all of it; a tie where they fit anyway, below a quarter, or cannot.",
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
