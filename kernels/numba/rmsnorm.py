"""rmsnorm: y[r][c] = x[r][c] * w[c] / sqrt(the mean of x[r]^2 + eps), a CTA a row, which is read twice.

Paired with ../ptx/rmsnorm.ptx; shapes and launch are in ../pairs/rmsnorm.py.
"""

import math

from numba import cuda, float32

ALL = 0xFFFFFFFF
BLOCK = 256


@cuda.jit(device=True)
def block_sum(value):
    """The sum of the CTA's 256 values, for every thread."""
    warp_sums = cuda.shared.array(8, float32)
    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_xor_sync(ALL, value, distance)
    if cuda.threadIdx.x % 32 == 0:
        warp_sums[cuda.threadIdx.x // 32] = value
    cuda.syncthreads()
    value = warp_sums[cuda.threadIdx.x % 8]
    for distance in (4, 2, 1):
        value += cuda.shfl_xor_sync(ALL, value, distance)
    return value


@cuda.jit(launch_bounds=BLOCK)
def rmsnorm(x, w, y, eps, columns):
    first = cuda.blockIdx.x * columns
    thread = cuda.threadIdx.x

    squares = float32(0)
    for c in range(thread, columns, BLOCK):
        squares += x[first + c] * x[first + c]
    mean = block_sum(squares) / float32(columns)  # a quotient of float32 and uint32 would be a double
    scale = float32(1) / math.sqrt(mean + eps)

    for c in range(thread, columns, BLOCK):
        y[first + c] = x[first + c] * scale * w[c]
