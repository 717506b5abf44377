"""transpose.copy: y[r][c] = x[r][c], with the tiles, threads and accesses of transpose: an upper bound of its speed."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, f32, u32

TILE = 32
ROWS = 8

PAIR = Pair(
    purpose="The cost of a transposition is its time over that of this copy: same bytes, tiles and accesses.",
    expectation="A tie, because both sides have one load and one store of 16 bytes a thread.",
    prediction="ties",
    args=[
        In("x", f32, lambda rows, columns: (rows, columns)),
        Out("y", f32, lambda rows, columns: (rows, columns)),
        Scalar("rows", u32, lambda rows, columns: rows),
        Scalar("columns", u32, lambda rows, columns: columns),
    ],
    launch=lambda rows, columns: Launch(grid=(ceil_div(columns, TILE), ceil_div(rows, TILE)), block=(TILE, ROWS)),
    reference=lambda x, rows, columns: {"y": x},
    tolerance=EXACT,
    check_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in ((1, 1), (31, 33), (41, 50), (50, 41), (48, 80), (64, 96))
    ],
    bench_sizes=[{"rows": edge, "columns": edge} for edge in (1024, 4096, 8192, 16384)],
    flops=lambda rows, columns: 0,
)
