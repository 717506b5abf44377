// cluster_rmsnorm: y[r][c] = x[r][c] * w[c] / sqrt(the mean of x[r]^2 + eps). A cluster of eight CTAs holds each row.
// Paired with ../ptx/cluster_rmsnorm.ptx; shapes and launch are in ../pairs/cluster_rmsnorm.py.

extern __shared__ float4 kept[];        // this CTA's eighth of the row

// The sum of the warp's values, in every lane.
__device__ float warp_sum(float v)
{
    for (unsigned distance = 16; distance > 0; distance /= 2)
        v += __shfl_xor_sync(0xffffffff, v, distance);
    return v;
}

extern "C" __global__ void __cluster_dims__(8) __launch_bounds__(256)
cluster_rmsnorm(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, float eps,
                unsigned columns)
{
    __shared__ float warp_sums[8];
    __shared__ float cta_sums[8];       // one of each CTA of the cluster
    const unsigned thread = threadIdx.x;
    const unsigned rank = __clusterRelativeBlockRank();
    const unsigned pieces = columns / 32;               // of four elements, in an eighth of the row

    // No CTA may store to another one that has not started. The wait is below, after the work before it.
    // relaxed: the other CTAs need nothing that was written before. cooperative_groups has no such arrival.
    __cluster_barrier_arrive_relaxed();

    const size_t first = static_cast<size_t>(blockIdx.x) * pieces;  // blockIdx.x is 8 row + rank
    const float4* x_4 = reinterpret_cast<const float4*>(x) + first + thread;
    const float4* w_4 = reinterpret_cast<const float4*>(w) + rank * pieces + thread;
    float4* y_4 = reinterpret_cast<float4*>(y) + first + thread;

    // Pointers move along the row: an index, x_4[i], costs a 64-bit addition and shift for each piece.
    float squares = 0.0f;
    for (unsigned i = thread; i < pieces; i += 256, x_4 += 256) {
        const float4 v = *x_4;
        kept[i] = v;
        squares = fmaf(v.w, v.w, fmaf(v.z, v.z, fmaf(v.y, v.y, fmaf(v.x, v.x, squares))));
    }
    squares = warp_sum(squares);
    if (thread % 32 == 0)
        warp_sums[thread / 32] = squares;
    __syncthreads();

    // Thread t < 8 stores the sum of this CTA in CTA t.
    __cluster_barrier_wait();
    if (thread < 8) {
        squares = warp_sums[thread];
        for (unsigned distance = 4; distance > 0; distance /= 2)
            squares += __shfl_xor_sync(0xff, squares, distance);
        static_cast<float*>(__cluster_map_shared_rank(cta_sums, thread))[rank] = squares;
    }
    __cluster_barrier_arrive();         // the arrival releases the earlier stores
    __cluster_barrier_wait();           // all sums have arrived

    const float total = ((cta_sums[0] + cta_sums[1]) + (cta_sums[2] + cta_sums[3]))
                      + ((cta_sums[4] + cta_sums[5]) + (cta_sums[6] + cta_sums[7]));
    // __fdividef needs no option and is one MUFU.RCP; 1.0f / columns is a call.
    const float scale = rsqrtf(fmaf(total, __fdividef(1.0f, columns), eps));
    for (unsigned i = thread; i < pieces; i += 256, w_4 += 256, y_4 += 256) {
        const float4 v = kept[i];
        const float4 g = *w_4;
        *y_4 = make_float4(v.x * scale * g.x, v.y * scale * g.y, v.z * scale * g.z, v.w * scale * g.w);
    }
}
