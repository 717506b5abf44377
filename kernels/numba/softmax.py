"""softmax: y[r][c] = exp(x[r][c]) / the sum of exp(x[r]), a CTA a row, which is read three times.

Paired with ../ptx/softmax.ptx; shapes and launch are in ../pairs/softmax.py.
"""

import math

from numba import cuda, float32

ALL = 0xFFFFFFFF
BLOCK = 256


@cuda.jit(device=True)
def block_max(value, warps):
    """The largest of the CTA's 256 values, for every thread."""
    for distance in (16, 8, 4, 2, 1):
        value = max(value, cuda.shfl_xor_sync(ALL, value, distance))
    if cuda.threadIdx.x % 32 == 0:
        warps[cuda.threadIdx.x // 32] = value
    cuda.syncthreads()
    value = warps[cuda.threadIdx.x % 8]
    for distance in (4, 2, 1):
        value = max(value, cuda.shfl_xor_sync(ALL, value, distance))
    return value


@cuda.jit(device=True)
def block_sum(value, warps):
    """The sum of the CTA's 256 values, for every thread."""
    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_xor_sync(ALL, value, distance)
    if cuda.threadIdx.x % 32 == 0:
        warps[cuda.threadIdx.x // 32] = value
    cuda.syncthreads()
    value = warps[cuda.threadIdx.x % 8]
    for distance in (4, 2, 1):
        value += cuda.shfl_xor_sync(ALL, value, distance)
    return value


@cuda.jit(launch_bounds=BLOCK)
def softmax(x, y, columns):
    warp_maxima = cuda.shared.array(8, float32)
    warp_sums = cuda.shared.array(8, float32)  # not warp_maxima again: a slow warp may still read it
    first = cuda.blockIdx.x * columns
    thread = cuda.threadIdx.x

    largest = float32(-math.inf)
    for c in range(thread, columns, BLOCK):
        largest = max(largest, x[first + c])
    largest = block_max(largest, warp_maxima)

    total = float32(0)
    for c in range(thread, columns, BLOCK):
        total += math.exp(x[first + c] - largest)
    scale = float32(1) / block_sum(total, warp_sums)

    for c in range(thread, columns, BLOCK):
        y[first + c] = math.exp(x[first + c] - largest) * scale
