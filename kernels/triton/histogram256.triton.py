"""histogram256: bins[v] += how often byte v occurs in x, by tl.histogram, in Triton: no threads, no instruction chosen.

For the pair ../pairs/histogram256.py, with its own launch: each program counts tile after tile, and then adds its bins.
"""

import triton
import triton.language as tl


@triton.autotune(configs=[triton.Config({"TILE": 4096, "BINS": 256}, num_warps=8)], key=[])
@triton.jit
def histogram256(x, bins, n, TILE: tl.constexpr, BINS: tl.constexpr):  # noqa: N803  as Triton has them
    lane = tl.arange(0, TILE)
    counts = tl.zeros((BINS,), tl.int32)
    for first in range(tl.program_id(0) * TILE, n, tl.num_programs(0) * TILE):
        if first + TILE <= n:
            counts += tl.histogram(tl.load(x + first + lane).to(tl.int32), BINS)
        else:
            inside = first + lane < n
            counts += tl.histogram(tl.load(x + first + lane, mask=inside, other=0).to(tl.int32), BINS, mask=inside)
    tl.atomic_add(bins + tl.arange(0, BINS), counts, sem="relaxed")
