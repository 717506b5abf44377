// reduce_sum: total += the sum of x, as in reduce_sum.unroll1.cu, with its loop unrolled by a pragma.
// Paired with ../ptx/reduce_sum.ptx; shapes and launch are in ../pairs/reduce_sum.py.

extern "C" __global__ void __launch_bounds__(256)
reduce_sum(const float* __restrict__ x, float* total, unsigned n)
{
    __shared__ float warp_sums[8];
    const unsigned thread = threadIdx.x;
    const unsigned first = 256 * blockIdx.x + thread;

    // The grid's first threads also take the last 0 to 3 elements.
    float sum = first < n % 4 ? x[n - 1 - first] : 0.0f;
    #pragma unroll 4                    // four copies of the body, each behind its own test: still one load at a time
    for (unsigned i = first; i < n / 4; i += 256 * gridDim.x) {
        const float4 v = reinterpret_cast<const float4*>(x)[i];
        sum += (v.x + v.y) + (v.z + v.w);           // one addition that waits for the previous round, not four
    }

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
