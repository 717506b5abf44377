// scatter_add_bf16: out[idx[k, t]] += x[t], row by row, in bf16: eight adjacent values a thread, by four additions of two.
// Paired with ../ptx/scatter_add_bf16.ptx; shapes and launch are in ../pairs/scatter_add_bf16.py.
//
// Lane t of a warp takes 16 consecutive bytes, by one load. Its four additions are then 16 bytes from those of the next
// lane, so that each touches all 16 sectors of the warp, four times as many as in scatter_add_bf16.cu.

#include <cuda_bf16.h>

extern "C" __global__ void __launch_bounds__(256)
scatter_add_bf16(const uint4* __restrict__ x, const unsigned* __restrict__ idx, __nv_bfloat162* out, unsigned vectors)
{
    const unsigned column = 256 * blockIdx.y + threadIdx.x;
    if (column >= vectors)
        return;

    const unsigned row = idx[blockIdx.z * gridDim.x + blockIdx.x];
    const uint4 v = x[static_cast<size_t>(blockIdx.x) * vectors + column];
    const __nv_bfloat162* pairs = reinterpret_cast<const __nv_bfloat162*>(&v);
    out += 4 * (static_cast<size_t>(row) * vectors + column);
    for (unsigned k = 0; k < 4; ++k)
        atomicAdd(&out[k], pairs[k]);
}
