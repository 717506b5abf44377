// cluster_rmsnorm.s32: y[r][c] = x[r][c] * w[c] / sqrt(the mean of x[r]^2 + eps) of integers x, |x| <= 2^20.
// Paired with ../ptx/cluster_rmsnorm.s32.ptx; shapes and launch are in ../pairs/cluster_rmsnorm.s32.py.

extern __shared__ int4 kept[];          // this CTA's eighth of the row

extern "C" __global__ void __cluster_dims__(8) __launch_bounds__(256)
cluster_rmsnorm_s32(const int* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, float eps,
                    unsigned columns)
{
    __shared__ unsigned long long total;    // sum of the squares of the row; all warps of the cluster add to it
    const unsigned thread = threadIdx.x;
    const unsigned rank = __clusterRelativeBlockRank();
    const unsigned pieces = columns / 32;               // of four elements, in an eighth of the row

    // No CTA may add before all have started and have a total of 0. The wait is below, after the work before it.
    if (thread == 0)
        total = 0;
    __cluster_barrier_arrive();         // not relaxed: it releases the zero

    const size_t first = static_cast<size_t>(blockIdx.x) * pieces;  // blockIdx.x is 8 row + rank
    const int4* x_4 = reinterpret_cast<const int4*>(x) + first + thread;
    const float4* w_4 = reinterpret_cast<const float4*>(w) + rank * pieces + thread;
    float4* y_4 = reinterpret_cast<float4*>(y) + first + thread;

    // Pointers move along the row: an index, x_4[i], costs a 64-bit addition and shift for each piece.
    long long squares = 0;
    for (unsigned i = thread; i < pieces; i += 256, x_4 += 256) {
        const int4 v = *x_4;
        kept[i] = v;
        squares += static_cast<long long>(v.x) * v.x;
        squares += static_cast<long long>(v.y) * v.y;
        squares += static_cast<long long>(v.z) * v.z;
        squares += static_cast<long long>(v.w) * v.w;
    }
    for (unsigned distance = 16; distance > 0; distance /= 2)
        squares += __shfl_xor_sync(0xffffffff, squares, distance);

    // Lane t < 8 of each warp adds the warp's sum to the total of CTA t.
    __cluster_barrier_wait();
    const unsigned lane = thread % 32;
    if (lane < 8)
        atomicAdd(static_cast<unsigned long long*>(__cluster_map_shared_rank(&total, lane)), squares);
    __cluster_barrier_arrive();         // the arrival releases the earlier additions
    __cluster_barrier_wait();           // all sums have arrived

    // __fdividef needs no option and is one MUFU.RCP; 1.0f / columns is a call.
    const float scale = rsqrtf(fmaf(static_cast<float>(total), __fdividef(1.0f, columns), eps));
    for (unsigned i = thread; i < pieces; i += 256, w_4 += 256, y_4 += 256) {
        const int4 v = kept[i];
        const float4 g = *w_4;
        *y_4 = make_float4(v.x * scale * g.x, v.y * scale * g.y, v.z * scale * g.z, v.w * scale * g.w);
    }
}
