"""transpose: y[c][r] = x[r][c], in 32 x 32 tiles. A tile in shared memory turns columns into rows."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, f32, u32

TILE = 32
ROWS = 8  # rows of a tile that a CTA moves at once; four such moves make a tile

PAIR = Pair(
    purpose=(
        "A tile with an xor swizzle has no bank conflicts, like a padded tile, and keeps its rows aligned to 16 bytes."
    ),
    expectation=(
        "Both sides and both kinds of tile tie, because none has bank conflicts and memory sets the time. "
        "transpose.copy, which has no barrier, is slightly faster."
    ),
    prediction="ties",
    by_request=["numba", "triton"],
    args=[
        In("x", f32, lambda rows, columns: (rows, columns)),
        Out("y", f32, lambda rows, columns: (columns, rows)),
        Scalar("rows", u32, lambda rows, columns: rows),
        Scalar("columns", u32, lambda rows, columns: columns),
    ],
    launch=lambda rows, columns: Launch(grid=(ceil_div(columns, TILE), ceil_div(rows, TILE)), block=(TILE, ROWS)),
    launches={
        "triton": lambda rows, columns: Launch(grid=(ceil_div(columns, TILE), ceil_div(rows, TILE)), block=1),
    },
    reference=lambda x, rows, columns: {"y": x.T},
    tolerance=EXACT,
    # A thread moves rows 0, 8, 16 and 24 of a ragged tile: 41 and 50 end in the second and the third group of eight.
    # 64 x 96 has only whole tiles; 48 and 80 are multiples of 16, which is not enough for whole tiles.
    check_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in ((1, 1), (31, 33), (32, 32), (33, 31), (41, 50), (50, 41), (48, 80), (64, 96), (100, 257))
    ],
    bench_sizes=[{"rows": edge, "columns": edge} for edge in (1024, 4096, 8192, 16384)],
    flops=lambda rows, columns: 0,
)
