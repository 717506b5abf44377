// triad: a[i] = b[i] + s * c[i], four elements per thread.
// Paired with ../ptx/triad.ptx; shapes and launch are in ../pairs/triad.py.

#ifndef BLOCK                   // a knob: ptxbench tune
#define BLOCK 256
#endif

extern "C" __global__ void __launch_bounds__(BLOCK)
triad(float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ c, float s, unsigned n)
{
    const unsigned i = BLOCK * blockIdx.x + threadIdx.x;

    if (i < n / 4) {
        // One 16-byte access instead of four: the compiler does not join four scalar accesses.
        const float4 from_b = reinterpret_cast<const float4*>(b)[i];
        const float4 from_c = reinterpret_cast<const float4*>(c)[i];
        float4 sum;
        sum.x = fmaf(s, from_c.x, from_b.x);    // fmaf, not * and +: rounds once, whatever --fmad says
        sum.y = fmaf(s, from_c.y, from_b.y);
        sum.z = fmaf(s, from_c.z, from_b.z);
        sum.w = fmaf(s, from_c.w, from_b.w);
        reinterpret_cast<float4*>(a)[i] = sum;
    }
    if (i < n % 4) {                            // the grid's first threads also take the last 0 to 3 elements
        const unsigned last = n - 1 - i;
        a[last] = fmaf(s, c[last], b[last]);
    }
}
