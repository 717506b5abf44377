"""tma_transpose: y[c][r] = x[r][c], in 64 x 64 tiles that tensor copies bring and take. Both edges: multiples of 4."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, TensorMap, ceil_div, f32, u32

BLOCK = 256
TILE = 64
SWIZZLE = 128  # bytes of a row of a box that is swizzled, and so at most 32 floats


PAIR = Pair(
    purpose="A tensor copy swizzles a tile on its way to shared memory, where C pads its rows or swizzles by itself.",
    expectation=(
        "A tie within 3 % of all variants whose shared memory has no bank conflicts, because memory sets the time. "
        "ptx.noswizzle is close to them too: its conflicts are hidden unless the data come from L2."
    ),
    prediction="ties",
    args=[
        In("x", f32, lambda rows, columns: (rows, columns)),
        Out("y", f32, lambda rows, columns: (columns, rows)),
        # Half a tile of x: 32 columns, 64 rows. Two boxes of plain_x are a tile for the variants without a swizzle.
        TensorMap("swizzled_x", of="x", box=(SWIZZLE // 4, TILE), swizzle=SWIZZLE),
        TensorMap("plain_x", of="x", box=(SWIZZLE // 4, TILE)),
        TensorMap("plain_y", of="y", box=(TILE, TILE)),
        Scalar("rows", u32, lambda rows, columns: rows),
        Scalar("columns", u32, lambda rows, columns: columns),
    ],
    launch=lambda rows, columns: Launch(grid=(ceil_div(columns, TILE), ceil_div(rows, TILE)), block=BLOCK),
    launches={
        "tile": lambda rows, columns: Launch(grid=(ceil_div(columns, TILE), ceil_div(rows, TILE)), block=1),
    },
    reference=lambda x, rows, columns: {"y": x.T},
    tolerance=EXACT,
    # 100 x 260 ends in different thirds of a tile, and 36 x 28 in the first box; 128 x 64 has only whole tiles.
    check_sizes=[
        {"rows": rows, "columns": columns}
        for rows, columns in ((4, 4), (32, 32), (36, 28), (128, 64), (68, 132), (100, 260))
    ],
    bench_sizes=[{"rows": edge, "columns": edge} for edge in (256, 1024, 4096, 16384)],
    flops=lambda rows, columns: 0,
    by_request=("cuda.lib", "tile"),
)
