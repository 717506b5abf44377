"""transpose: y[c][r] = x[r][c], in 32 x 32 tiles. A tile in shared memory turns columns into rows."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, f32, u32

TILE = 32
ROWS = 8  # rows of a tile that a CTA moves at once; four times makes the tile

PAIR = Pair(
    teaches="A tile turned by exclusive or is free of bank conflicts, as a padded one is, and leaves rows of 16 bytes.",
    expects=(
        "A tie of both sides and of both tiles, because none has bank conflicts and memory sets the time; "
        "transpose.copy, without a barrier, is a little ahead."
    ),
    args=[
        In("x", f32, lambda rows, columns: (rows, columns)),
        Out("y", f32, lambda rows, columns: (columns, rows)),
        Scalar("rows", u32, lambda rows, columns: rows),
        Scalar("columns", u32, lambda rows, columns: columns),
    ],
    launch=lambda rows, columns: Launch(grid=(ceil_div(columns, TILE), ceil_div(rows, TILE)), block=(TILE, ROWS)),
    reference=lambda x, rows, columns: {"y": x.T},
    tolerance=EXACT,
    # A thread moves rows 0, 8, 16 and 24 of a ragged tile: 41 and 50 end within the second and the third eight of one.
    # 64 x 96 has whole tiles alone; 48 and 80 are multiples of 16, which is not enough.
    check_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in ((1, 1), (31, 33), (32, 32), (33, 31), (41, 50), (50, 41), (48, 80), (64, 96), (100, 257))
    ],
    bench_sizes=[{"rows": edge, "columns": edge} for edge in (1024, 4096, 8192, 16384)],
    flops=lambda rows, columns: 0,
)
