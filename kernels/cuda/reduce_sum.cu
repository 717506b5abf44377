// reduce_sum: total += the sum of x, by a grid-stride loop, warp shuffles and one atomic addition per CTA.
// Paired with ../ptx/reduce_sum.ptx; shapes and launch are in ../pairs/reduce_sum.py.

extern "C" __global__ void __launch_bounds__(256)
reduce_sum(const float* __restrict__ x, float* total, unsigned n)
{
    __shared__ float warp_sums[8];
    const unsigned thread = threadIdx.x;
    const unsigned first = 256 * blockIdx.x + thread;

    // A CTA takes 4096 elements at a time, each thread four vectors of four: all four loads are in flight at once.
    float sum = 0.0f;
    #pragma unroll 1                    // four loads are enough; for sm_100 NVRTC would unroll to sixteen
    for (unsigned chunk = blockIdx.x; chunk < n / 4096; chunk += gridDim.x) {
        const float4* at = reinterpret_cast<const float4*>(x) + (1024 * chunk + thread);
        const float4 a = at[0], b = at[256], c = at[512], d = at[768];
        sum += (((a.x + a.y) + (a.z + a.w)) + ((b.x + b.y) + (b.z + b.w)))
             + (((c.x + c.y) + (c.z + c.w)) + ((d.x + d.y) + (d.z + d.w)));
    }
    #pragma unroll 1
    for (unsigned i = first; i < n % 4096; i += 256 * gridDim.x)    // the last 0 to 4095, from the end
        sum += x[n - 1 - i];

    for (unsigned distance = 16; distance > 0; distance /= 2)
        sum += __shfl_xor_sync(0xffffffff, sum, distance);
    if (thread % 32 == 0)
        warp_sums[thread / 32] = sum;
    __syncthreads();

    if (thread < 8) {
        sum = warp_sums[thread];
        for (unsigned distance = 4; distance > 0; distance /= 2)
            sum += __shfl_xor_sync(0xff, sum, distance);    // the mask names the lanes that arrive here: 8, not 32
        if (thread == 0)
            atomicAdd(total, sum);
    }
}
