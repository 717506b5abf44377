"""triad: a[i] = b[i] + s * c[i], in tiles of 1024 elements, in Triton: no threads, and no instruction is chosen here.

For the pair ../pairs/triad.py, with its own launch: a program for each tile.
"""

import triton
import triton.language as tl


@triton.autotune(configs=[triton.Config({"TILE": 1024}, num_warps=4)], key=[])
@triton.jit
def triad(a, b, c, s, n, TILE: tl.constexpr):  # noqa: N803  constants are in capitals, as Triton has them
    first = tl.program_id(0) * TILE
    i = first + tl.arange(0, TILE)

    # A whole tile is a case of its own, so that its accesses have 16 bytes. Accesses under a mask have four.
    if first + TILE <= n:
        tl.store(a + i, tl.fma(s, tl.load(c + i), tl.load(b + i)))
    else:
        inside = i < n
        tl.store(a + i, tl.fma(s, tl.load(c + i, mask=inside), tl.load(b + i, mask=inside)), mask=inside)
