"""copy_hints.beside: y = x + table[hash(x)]. The stream x can evict the table from L1. A ragged last CTA."""

import numpy as np

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, u32

BLOCK = 256
VECTOR = 16  # bytes of an access
IN_FLIGHT = 4  # loads that a thread issues before its first store
ROW = 16  # bytes of the table that one look-up reads


def add_rows(x, table, vectors, rows):
    """Each thread takes vectors t, t + 256, ... of 1024 and adds one row, which the first number of its first vector
    selects."""
    number = np.arange(vectors)
    first = number // (BLOCK * IN_FLIGHT) * (BLOCK * IN_FLIGHT) + number % BLOCK
    x, table = x.reshape(-1, 4), table.reshape(-1, 4)
    row = (x[:, 0] * rows >> 32)[first]
    return {"y": (x + table[row] & 0xFFFFFFFF).reshape(-1)}


PAIR = Pair(
    purpose="A cache hint on a stream helps only where the stream would evict other data from L1.",
    expectation=(
        "A tie where table and stream fit into L1 together (up to 128 KiB on an H100), and where the table alone does "
        "not fit. Between these sizes ptx and cuda are up to 10 % faster than the plain rows, whose look-ups go to "
        "L2."
    ),
    prediction="ties",
    args=[
        In("x", u32, lambda n, rows: (n // 4,)),
        In("table", u32, lambda n, rows: (rows * ROW // 4,)),
        Out("y", u32, lambda n, rows: (n // 4,)),
        Scalar("vectors", u32, lambda n, rows: n // VECTOR),
        Scalar("rows", u32, lambda n, rows: rows),
    ],
    launch=lambda n, rows: Launch(grid=ceil_div(n, VECTOR * IN_FLIGHT * BLOCK), block=BLOCK),
    reference=add_rows,
    tolerance=EXACT,
    check_sizes=[
        {"n": n, "rows": rows} for n, rows in ((16, 1), (16368, 100), (16384, 4096), (16400, 7), (65552, 12288))
    ],
    bench_sizes=[
        {"n": n, "rows": kib * 1024 // ROW}
        for n, kib in ((1 << 20, 192), *((1 << 26, kib) for kib in (64, 128, 192, 224, 384)))
    ],
    flops=lambda n, rows: 0,
    by_request=("ptx.keep",),
)
