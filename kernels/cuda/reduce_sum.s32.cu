// reduce_sum.s32: total += the sum of x, by a grid-stride loop, warp reductions and one atomic addition per CTA.
// Paired with ../ptx/reduce_sum.s32.ptx; shapes and launch are in ../pairs/reduce_sum.s32.py.

extern "C" __global__ void __launch_bounds__(256)
reduce_sum_s32(const int* __restrict__ x, int* total, unsigned n)
{
    __shared__ int warp_sums[8];
    const unsigned thread = threadIdx.x;
    const unsigned first = 256 * blockIdx.x + thread;

    // A CTA takes 4096 elements at a time, each thread four vectors of four: all four loads are in flight at once.
    int sum = 0;
    #pragma unroll 1                    // four loads are enough; for sm_100 NVRTC would unroll to sixteen
    for (unsigned chunk = blockIdx.x; chunk < n / 4096; chunk += gridDim.x) {
        const int4* at = reinterpret_cast<const int4*>(x) + (1024 * chunk + thread);
        const int4 a = at[0], b = at[256], c = at[512], d = at[768];
        sum += (((a.x + a.y) + (a.z + a.w)) + ((b.x + b.y) + (b.z + b.w)))
             + (((c.x + c.y) + (c.z + c.w)) + ((d.x + d.y) + (d.z + d.w)));
    }
    #pragma unroll 1
    for (unsigned i = first; i < n % 4096; i += 256 * gridDim.x)    // the last 0 to 4095, from the end
        sum += x[n - 1 - i];

    sum = __reduce_add_sync(0xffffffff, sum);               // needs sm_80
    if (thread % 32 == 0)
        warp_sums[thread / 32] = sum;
    __syncthreads();

    if (thread < 8) {
        sum = __reduce_add_sync(0xff, warp_sums[thread]);   // the mask names the lanes that arrive here: 8, not 32
        if (thread == 0)
            atomicAdd(total, sum);
    }
}
