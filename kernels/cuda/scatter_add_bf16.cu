// scatter_add_bf16: out[idx[t]] += x[t], row by row, in bf16: eight values a thread, by four atomic additions.
// Paired with ../ptx/scatter_add_bf16.ptx; shapes and launch are in ../pairs/scatter_add_bf16.py.

#include <cuda_bf16.h>

extern "C" __global__ void __launch_bounds__(256)
scatter_add_bf16(const uint4* __restrict__ x, const unsigned* __restrict__ idx, __nv_bfloat162* out, unsigned vectors)
{
    const unsigned column = 256 * blockIdx.y + threadIdx.x;
    if (column >= vectors)
        return;

    const uint4 v = x[static_cast<size_t>(blockIdx.x) * vectors + column];
    const __nv_bfloat162* pairs = reinterpret_cast<const __nv_bfloat162*>(&v);
    out += 4 * (static_cast<size_t>(idx[blockIdx.x]) * vectors + column);
    for (unsigned k = 0; k < 4; ++k)
        atomicAdd(&out[k], pairs[k]);   // of two values: C has no wider one
}
