"""transpose: y[c][r] = x[r][c], in 32 x 32 tiles, in Triton: no threads, no shared memory, no barrier is written here.

For the pair ../pairs/transpose.py, with its own launch: a program for each tile.
"""

import triton
import triton.language as tl


@triton.jit
def move(x, y, rows, columns, TILE: tl.constexpr):  # noqa: N803  constants are in capitals, as Triton has them
    column = tl.program_id(0) * TILE + tl.arange(0, TILE)
    row = tl.program_id(1) * TILE + tl.arange(0, TILE)
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    tile = tl.load(x + row[:, None] * columns + column[None, :], mask=inside)
    tl.store(y + column[:, None] * rows + row[None, :], tl.trans(tile), mask=tl.trans(inside))


@triton.autotune(configs=[triton.Config({"TILE": 32}, num_warps=4)], key=[])
@triton.jit
def transpose(x, y, rows, columns, TILE: tl.constexpr):  # noqa: N803
    # Triton sees that these are multiples of 16, and makes accesses of 16 bytes. Its own launch would compile this
    # kernel once more for such arguments; here it is compiled once.
    if (rows % 16 == 0) & (columns % 16 == 0):
        move(x, y, rows // 16 * 16, columns // 16 * 16, TILE)
    else:
        move(x, y, rows, columns, TILE)
