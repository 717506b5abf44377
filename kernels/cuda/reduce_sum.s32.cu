// reduce_sum.s32: total += the sum of x, by a grid-stride loop, warp reductions and one atomic addition a CTA.
// Paired with ../ptx/reduce_sum.s32.ptx; shapes and launch are in ../pairs/reduce_sum.s32.py.

extern "C" __global__ void __launch_bounds__(256)
reduce_sum_s32(const int* __restrict__ x, int* total, unsigned n)
{
    __shared__ int warp_sums[8];
    const unsigned thread = threadIdx.x;
    const unsigned first = 256 * blockIdx.x + thread;

    // The grid's first threads also take the last 0 to 3 elements.
    int sum = first < n % 4 ? x[n - 1 - first] : 0;
    for (unsigned i = first; i < n / 4; i += 256 * gridDim.x) {
        const int4 v = reinterpret_cast<const int4*>(x)[i];
        sum += (v.x + v.y) + (v.z + v.w);
    }

    sum = __reduce_add_sync(0xffffffff, sum);               // needs sm_80
    if (thread % 32 == 0)
        warp_sums[thread / 32] = sum;
    __syncthreads();

    if (thread < 8) {
        sum = __reduce_add_sync(0xff, warp_sums[thread]);   // the mask names the lanes that come here: 8, not 32
        if (thread == 0)
            atomicAdd(total, sum);
    }
}
