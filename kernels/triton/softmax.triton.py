"""softmax: y[r][c] = exp(x[r][c]) / the sum of exp(x[r]), a program a row, in Triton.

For the pair ../pairs/softmax.py, with its own launch. A row of at most 8192 elements is one tile, and is read once.
"""

import triton
import triton.language as tl


@triton.jit
def held_row(x, y, columns, TILE: tl.constexpr):  # noqa: N803  constants are in capitals, as Triton has them
    column = tl.arange(0, TILE)
    inside = column < columns
    held = tl.load(x + column, mask=inside, other=-float("inf"))
    powers = tl.exp(held - tl.max(held))
    tl.store(y + column, powers * (1 / tl.sum(powers)), mask=inside)


@triton.jit
def long_row(x, y, columns, TILE: tl.constexpr):  # noqa: N803
    """A row of any length, which is read twice."""
    lane = tl.arange(0, TILE)
    largest = -float("inf")
    total = 0.0
    for first in range(0, columns, TILE):
        held = tl.load(x + first + lane, mask=first + lane < columns, other=-float("inf"))
        before = largest
        largest = tl.maximum(largest, tl.max(held))
        total = total * tl.exp(before - largest) + tl.sum(tl.exp(held - largest))
    scale = 1 / total
    for first in range(0, columns, TILE):
        inside = first + lane < columns
        held = tl.load(x + first + lane, mask=inside)
        tl.store(y + first + lane, tl.exp(held - largest) * scale, mask=inside)


@triton.autotune(configs=[triton.Config({}, num_warps=8)], key=[])
@triton.jit
def softmax(x, y, columns):
    # Triton sees that `whole` is a multiple of 16, and makes accesses of 16 bytes. Its own launch would compile this
    # kernel once more for such an argument; here it is compiled once.
    whole = columns // 16 * 16
    if (columns == whole) & (columns <= 1024):
        first = tl.program_id(0).to(tl.int64) * whole
        held_row(x + first, y + first, whole, 1024)
    elif (columns == whole) & (columns <= 8192):
        first = tl.program_id(0).to(tl.int64) * whole
        held_row(x + first, y + first, whole, 8192)
    else:
        first = tl.program_id(0).to(tl.int64) * columns
        long_row(x + first, y + first, columns, 4096)
