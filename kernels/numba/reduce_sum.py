"""reduce_sum: total += the sum of x, by a grid-stride loop, warp shuffles and one atomic addition a CTA.

Paired with ../ptx/reduce_sum.ptx; shapes and launch are in ../pairs/reduce_sum.py.
"""

from numba import cuda, float32

ALL = 0xFFFFFFFF


@cuda.jit(launch_bounds=256)
def reduce_sum(x, total, n):
    warp_sums = cuda.shared.array(8, float32)
    thread = cuda.threadIdx.x

    value = float32(0)  # 0.0 would be a double, and so would every sum
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        value += x[i]

    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_xor_sync(ALL, value, distance)
    if thread % 32 == 0:
        warp_sums[thread // 32] = value
    cuda.syncthreads()

    if thread < 32:
        value = warp_sums[thread % 8]
        for distance in (4, 2, 1):
            value += cuda.shfl_xor_sync(ALL, value, distance)
        if thread == 0:
            cuda.atomic.add(total, 0, value)
