// cluster_rmsnorm: y[r][c] = x[r][c] * w[c] / sqrt(the mean of x[r]^2 + eps). One CTA reads a row twice.
// Next to ../ptx/cluster_rmsnorm.ptx; shapes and launches are in ../pairs/cluster_rmsnorm.py.

// The sum of the warp's values, in every lane.
__device__ float warp_sum(float v)
{
    for (unsigned distance = 16; distance > 0; distance /= 2)
        v += __shfl_xor_sync(0xffffffff, v, distance);
    return v;
}

extern "C" __global__ void __launch_bounds__(1024)
cluster_rmsnorm(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, float eps,
                unsigned columns)
{
    __shared__ float warp_sums[32];
    const unsigned thread = threadIdx.x;
    const unsigned pieces = columns / 4;                // of four elements
    const size_t first = static_cast<size_t>(blockIdx.x) * pieces;
    const float4* x_4 = reinterpret_cast<const float4*>(x) + first + thread;
    const float4* w_4 = reinterpret_cast<const float4*>(w) + thread;
    float4* y_4 = reinterpret_cast<float4*>(y) + first + thread;

    // Pointers move along the row: an index, x_4[i], costs a 64-bit addition and shift for each piece.
    float squares = 0.0f;
    const float4* from = x_4;
    for (unsigned i = thread; i < pieces; i += 1024, from += 1024) {
        const float4 v = *from;
        squares = fmaf(v.w, v.w, fmaf(v.z, v.z, fmaf(v.y, v.y, fmaf(v.x, v.x, squares))));
    }
    squares = warp_sum(squares);
    if (thread % 32 == 0)
        warp_sums[thread / 32] = squares;
    __syncthreads();
    const float total = warp_sum(warp_sums[thread % 32]);   // every warp repeats it: cheaper than a barrier

    // __fdividef needs no option and is one MUFU.RCP; 1.0f / columns is a call.
    const float scale = rsqrtf(fmaf(total, __fdividef(1.0f, columns), eps));
    for (unsigned i = thread; i < pieces; i += 1024, x_4 += 1024, w_4 += 1024, y_4 += 1024) {
        const float4 v = *x_4;
        const float4 g = *w_4;
        *y_4 = make_float4(v.x * scale * g.x, v.y * scale * g.y, v.z * scale * g.z, v.w * scale * g.w);
    }
}
