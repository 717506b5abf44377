"""reduce_sum: total += the sum of x, in tiles of 4096 elements, in Triton: no threads, no instruction chosen here.

For the pair ../pairs/reduce_sum.py, with its own launch: each program adds up tile after tile, and then its elements.
"""

import triton
import triton.language as tl


@triton.autotune(configs=[triton.Config({"TILE": 4096}, num_warps=8)], key=[])
@triton.jit
def reduce_sum(x, total, n, TILE: tl.constexpr):  # noqa: N803  constants are in capitals, as Triton has them
    lane = tl.arange(0, TILE)
    step = tl.num_programs(0) * TILE
    first = tl.program_id(0) * TILE
    sums = tl.zeros((TILE,), tl.float32)
    whole = n // TILE * TILE
    # A whole tile needs no mask, so that its loads have 16 bytes.
    for at in range(first, whole, step):
        sums += tl.load(x + at + lane)
    if tl.program_id(0) == 0:
        sums += tl.load(x + whole + lane, mask=whole + lane < n, other=0)
    tl.atomic_add(total, tl.sum(sums), sem="relaxed")
