// scatter_add_bf16.f16: out[idx[k, t]] += x[t], row by row, in f16: eight values per thread, by four additions of two.
// Paired with ../ptx/scatter_add_bf16.f16.ptx; shapes and launch are in ../pairs/scatter_add_bf16.f16.py.
//
// Lane t of a warp takes pairs t, t + 256, ...: a warp loads, and adds to, 128 consecutive bytes at a time.

#include <cuda_fp16.h>

extern "C" __global__ void __launch_bounds__(256)
scatter_add_bf16_f16(const __half2* __restrict__ x, const unsigned* __restrict__ idx, __half2* out, unsigned vectors)
{
    const unsigned pairs = 4 * vectors;
    const unsigned first = 1024 * blockIdx.y + threadIdx.x;
    const unsigned row = idx[blockIdx.z * gridDim.x + blockIdx.x];
    x += static_cast<size_t>(blockIdx.x) * pairs + first;
    out += static_cast<size_t>(row) * pairs + first;

    if (first + 768 < pairs) {
        // All loads before the first addition: the compiler only knows that atomicAdd changes memory.
        const __half2 v0 = x[0];
        const __half2 v1 = x[256];
        const __half2 v2 = x[512];
        const __half2 v3 = x[768];
        atomicAdd(&out[0], v0);
        atomicAdd(&out[256], v1);
        atomicAdd(&out[512], v2);
        atomicAdd(&out[768], v3);
    } else {
#pragma unroll 1                        // from sm_100 on NVRTC would unroll it 29 times
        for (unsigned i = first; i < pairs; i += 256, x += 256, out += 256)     // the end of a row: up to four
            atomicAdd(out, *x);
    }
}
