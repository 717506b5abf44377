"""The triad and a block sum in numba's CUDA simulator, for comparison: prints seconds a thread of each.

NUMBA_ENABLE_CUDASIM=1 python benchmarks/cuda_simulator.py
"""

import json
import time

import numpy as np
from numba import cuda, float32

BLOCK = 256


@cuda.jit
def triad(a, b, c, s, n):
    i = cuda.grid(1)
    if i < n:
        a[i] = b[i] + s * c[i]


@cuda.jit
def block_sum(x, total):
    tree = cuda.shared.array(BLOCK, float32)
    t = cuda.threadIdx.x
    tree[t] = x[cuda.grid(1)]
    cuda.syncthreads()
    stride = BLOCK // 2
    while stride:
        if t < stride:
            tree[t] += tree[t + stride]
        cuda.syncthreads()
        stride //= 2
    if t == 0:
        cuda.atomic.add(total, 0, tree[0])


def seconds_a_thread(kernel, threads, *args):
    started = time.perf_counter()
    kernel[threads // BLOCK, BLOCK](*args)
    return (time.perf_counter() - started) / threads


if __name__ == "__main__":
    n = 4 * BLOCK
    x = np.ones(n, np.float32)
    print(
        json.dumps(
            {
                "triad": seconds_a_thread(triad, n, x.copy(), x, x, np.float32(3), n),
                "reduce_sum": seconds_a_thread(block_sum, n, x, np.zeros(1, np.float32)),
            }
        )
    )
