// tma_reduce.bf16: out[i] += x[0][i] + x[1][i] + .., in bf16: a CTA adds 16 KiB of a slice, two values at a time.
// Paired with ../ptx/tma_reduce.bf16.ptx; shapes and launch are in ../pairs/tma_reduce.bf16.py.
//
// Lane t of a warp takes pairs t, t + 128, ...: a warp loads, and adds to, 128 consecutive bytes at a time.

#include <cuda_bf16.h>

extern "C" __global__ void __launch_bounds__(128)
tma_reduce_bf16(const __nv_bfloat162* __restrict__ x, __nv_bfloat162* out, unsigned vectors)
{
    const unsigned pairs = 4 * vectors;
    const unsigned first = 4096 * blockIdx.y;       // of this CTA's tile
    x += static_cast<size_t>(blockIdx.x) * pairs + first + threadIdx.x;
    out += first + threadIdx.x;

    if (pairs - first >= 4096) {
#pragma unroll 1
        for (unsigned quarter = 0; quarter < 4; ++quarter, x += 1024, out += 1024) {
            // Eight loads before an addition: the compiler only knows that atomicAdd changes memory.
            __nv_bfloat162 v[8];
#pragma unroll
            for (unsigned k = 0; k < 8; ++k)
                v[k] = x[128 * k];
#pragma unroll
            for (unsigned k = 0; k < 8; ++k)
                atomicAdd(&out[128 * k], v[k]);
        }
    } else {
#pragma unroll 1
        for (unsigned i = first + threadIdx.x; i < pairs; i += 128, x += 128, out += 128)
            atomicAdd(out, *x);
    }
}
