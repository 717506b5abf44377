// scatter_add_bf16.f32: out[idx[k, t]] += x[t], row by row, in f32: four values per thread, by one atomic addition.
// Paired with ../ptx/scatter_add_bf16.f32.ptx; shapes and launch are in ../pairs/scatter_add_bf16.f32.py.

extern "C" __global__ void __launch_bounds__(256)
scatter_add_bf16_f32(const float4* __restrict__ x, const unsigned* __restrict__ idx, float4* out, unsigned vectors)
{
    const unsigned column = 256 * blockIdx.y + threadIdx.x;
    if (column >= vectors)
        return;

    const float4 v = x[static_cast<size_t>(blockIdx.x) * vectors + column];
    const unsigned row = idx[blockIdx.z * gridDim.x + blockIdx.x];
    atomicAdd(&out[static_cast<size_t>(row) * vectors + column], v);    // from sm_90 on
}
