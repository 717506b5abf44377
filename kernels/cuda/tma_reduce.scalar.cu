// tma_reduce: out[i] += x[0][i] + x[1][i] + ..: a CTA adds 16 KiB of a slice, by atomic additions of 4 bytes.
// Next to ../ptx/tma_reduce.ptx; shapes and launch are in ../pairs/tma_reduce.py.
//
// Lane t of a warp takes values t, t + 128, ...: a warp loads, and adds to, 128 consecutive bytes at a time.

extern "C" __global__ void __launch_bounds__(128)
tma_reduce(const float* __restrict__ x, float* out, unsigned vectors)
{
    const unsigned n = 4 * vectors;
    const unsigned first = 4096 * blockIdx.y;       // of this CTA's tile
    x += static_cast<size_t>(blockIdx.x) * n + first + threadIdx.x;
    out += first + threadIdx.x;

    if (n - first >= 4096) {
        // All loads before the first addition: the compiler only knows that atomicAdd changes memory.
        float v[32];
#pragma unroll
        for (unsigned k = 0; k < 32; ++k)
            v[k] = x[128 * k];
#pragma unroll
        for (unsigned k = 0; k < 32; ++k)
            atomicAdd(&out[128 * k], v[k]);
    } else {
#pragma unroll 1
        for (unsigned i = first + threadIdx.x; i < n; i += 128, x += 128, out += 128)
            atomicAdd(out, *x);
    }
}
