// tma_reduce: out[i] += x[0][i] + x[1][i] + ..: a CTA adds 16 KiB of a slice, by atomic additions of 16 bytes.
// Paired with ../ptx/tma_reduce.ptx; shapes and launch are in ../pairs/tma_reduce.py.

extern "C" __global__ void __launch_bounds__(128)
tma_reduce(const float4* __restrict__ x, float4* out, unsigned vectors)
{
    const unsigned first = 1024 * blockIdx.y;       // of this CTA's tile
    x += static_cast<size_t>(blockIdx.x) * vectors + first + threadIdx.x;
    out += first + threadIdx.x;

    if (vectors - first >= 1024) {
        // All loads before the first addition: the compiler only knows that atomicAdd changes memory.
        float4 v[8];
#pragma unroll
        for (unsigned k = 0; k < 8; ++k)
            v[k] = x[128 * k];
#pragma unroll
        for (unsigned k = 0; k < 8; ++k)
            atomicAdd(&out[128 * k], v[k]);         // from sm_90 on
    } else {
#pragma unroll 1
        for (unsigned i = first + threadIdx.x; i < vectors; i += 128, x += 128, out += 128)
            atomicAdd(out, *x);
    }
}
