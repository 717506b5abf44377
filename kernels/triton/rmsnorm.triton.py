"""rmsnorm: y[r][c] = x[r][c] * w[c] / sqrt(the mean of x[r]^2 + eps), a program a row, in Triton.

For the pair ../pairs/rmsnorm.py, with its own launch. A row of at most 8192 elements is one tile, and is read once.
"""

import triton
import triton.language as tl


@triton.jit
def held_row(x, w, y, eps, columns, TILE: tl.constexpr):  # noqa: N803  constants are in capitals, as Triton has them
    column = tl.arange(0, TILE)
    inside = column < columns
    held = tl.load(x + column, mask=inside, other=0)
    scale = tl.rsqrt(tl.sum(held * held) / columns + eps)
    tl.store(y + column, held * scale * tl.load(w + column, mask=inside), mask=inside)


@triton.jit
def long_row(x, w, y, eps, columns, TILE: tl.constexpr):  # noqa: N803
    """A row of any length, which is read twice."""
    lane = tl.arange(0, TILE)
    squares = tl.zeros((TILE,), tl.float32)
    for first in range(0, columns, TILE):
        held = tl.load(x + first + lane, mask=first + lane < columns, other=0)
        squares += held * held
    scale = tl.rsqrt(tl.sum(squares) / columns + eps)
    for first in range(0, columns, TILE):
        inside = first + lane < columns
        weight = tl.load(w + first + lane, mask=inside)
        tl.store(y + first + lane, tl.load(x + first + lane, mask=inside) * scale * weight, mask=inside)


@triton.autotune(configs=[triton.Config({}, num_warps=8)], key=[])
@triton.jit
def rmsnorm(x, w, y, eps, columns):
    # Triton sees that `whole` is a multiple of 16, and makes accesses of 16 bytes. Its own launch would compile this
    # kernel once more for such an argument; here it is compiled once.
    whole = columns // 16 * 16
    if (columns == whole) & (columns <= 1024):
        first = tl.program_id(0).to(tl.int64) * whole
        held_row(x + first, w, y + first, eps, whole, 1024)
    elif (columns == whole) & (columns <= 8192):
        first = tl.program_id(0).to(tl.int64) * whole
        held_row(x + first, w, y + first, eps, whole, 8192)
    else:
        first = tl.program_id(0).to(tl.int64) * columns
        long_row(x + first, w, y + first, eps, columns, 4096)
