"""histogram256: bins[v] += how often byte v occurs in x, counted in shared memory first, a byte at a time.

Paired with ../ptx/histogram256.ptx; shapes and launch are in ../pairs/histogram256.py.
"""

from numba import cuda, uint32

BINS = 256


@cuda.jit(launch_bounds=BINS)
def histogram256(x, bins, n):
    counts = cuda.shared.array(BINS, uint32)
    thread = cuda.threadIdx.x  # as many threads as bins
    counts[thread] = 0
    cuda.syncthreads()

    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        cuda.atomic.add(counts, x[i], 1)
    cuda.syncthreads()

    cuda.atomic.add(bins, thread, counts[thread])
