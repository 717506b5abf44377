// triad.v8: a[i] = b[i] + s * c[i], eight elements per thread.
// Paired with ../ptx/triad.v8.ptx; shapes and launch are in ../pairs/triad.v8.py.

struct alignas(32) Eight {      // one access of 32 bytes where the target has one, otherwise two of 16
    float at[8];
};

extern "C" __global__ void __launch_bounds__(256)
triad_v8(float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ c, float s, unsigned n)
{
    const unsigned i = 256 * blockIdx.x + threadIdx.x;

    if (i < n / 8) {
        const Eight from_b = reinterpret_cast<const Eight*>(b)[i];
        const Eight from_c = reinterpret_cast<const Eight*>(c)[i];
        Eight sum;
        for (unsigned k = 0; k < 8; ++k)
            sum.at[k] = fmaf(s, from_c.at[k], from_b.at[k]);
        reinterpret_cast<Eight*>(a)[i] = sum;
    }
    if (i < n % 8) {            // the grid's first threads also take the last 0 to 7 elements
        const unsigned last = n - 1 - i;
        a[last] = fmaf(s, c[last], b[last]);
    }
}
