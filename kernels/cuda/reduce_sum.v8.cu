// reduce_sum.v8: total += the sum of x, by loads of 32 bytes, warp shuffles and one atomic addition per CTA.
// Paired with ../ptx/reduce_sum.v8.ptx; shapes and launch are in ../pairs/reduce_sum.v8.py.

struct alignas(32) Eight {              // one load of 32 bytes where the target has one
    float at[8];
};

__device__ float sum_of(const Eight& v)
{
    return ((v.at[0] + v.at[1]) + (v.at[2] + v.at[3])) + ((v.at[4] + v.at[5]) + (v.at[6] + v.at[7]));
}

extern "C" __global__ void __launch_bounds__(256)
reduce_sum_v8(const float* __restrict__ x, float* total, unsigned n)
{
    __shared__ float warp_sums[8];
    const unsigned thread = threadIdx.x;
    const unsigned first = 256 * blockIdx.x + thread;

    // A CTA takes 4096 elements at a time, each thread two vectors of eight: both loads are in flight at once.
    float sum = 0.0f;
    #pragma unroll 1                    // two loads are enough; NVRTC would unroll to eight
    for (unsigned chunk = blockIdx.x; chunk < n / 4096; chunk += gridDim.x) {
        const Eight* at = reinterpret_cast<const Eight*>(x) + (512 * chunk + thread);
        const Eight a = at[0], b = at[256];
        sum += sum_of(a) + sum_of(b);
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
