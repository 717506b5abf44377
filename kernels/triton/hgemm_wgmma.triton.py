"""hgemm_wgmma: c = a b, a m x k and b k x n of f16, c of f32, in tiles of 128 x 128 x 64, by tl.dot, in Triton.

For the pair ../pairs/hgemm_wgmma.py, with its own launch: a program for each tile of c. n and k are multiples of 8.
"""

import triton
import triton.language as tl


@triton.autotune(configs=[triton.Config({"TILE": 128, "SLAB": 64}, num_warps=8, num_stages=3)], key=[])
@triton.jit
def hgemm_wgmma(a, b, c, m, n, k, TILE: tl.constexpr, SLAB: tl.constexpr):  # noqa: N803  as Triton has them
    row = tl.program_id(1) * TILE + tl.arange(0, TILE)
    column = tl.program_id(0) * TILE + tl.arange(0, TILE)
    depth = tl.arange(0, SLAB)
    n = n // 8 * 8
    k = k // 8 * 8
    sums = tl.zeros((TILE, TILE), tl.float32)
    for slab in range(0, k, SLAB):
        in_a = (row < m)[:, None] & (slab + depth < k)[None, :]
        in_b = (slab + depth < k)[:, None] & (column < n)[None, :]
        a_tile = tl.load(a + row[:, None] * k + (slab + depth)[None, :], mask=in_a, other=0)
        b_tile = tl.load(b + (slab + depth)[:, None] * n + column[None, :], mask=in_b, other=0)
        sums = tl.dot(a_tile, b_tile, sums)
    tl.store(c + row[:, None] * n + column[None, :], sums, mask=(row < m)[:, None] & (column < n)[None, :])
