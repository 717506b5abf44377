// warp_special: y = c[0] + c[1] x + .. + c[k - 1] x^(k - 1) for each element, without roles and without a ring.
// Next to ../ptx/warp_special.sm_90a.ptx; its own launch is in ../pairs/warp_special.py.
//
// Each thread loads 16 elements, computes and stores them. While a warp waits for memory, the other warps of an SM
// compute: here the scheduler does what the ring does by hand, and a CTA needs no shared memory.

constexpr unsigned THREADS = 256;
constexpr unsigned KEPT = 4;            // vectors of 16 bytes that a thread keeps

extern "C" __global__ void __launch_bounds__(256)
warp_special(const float4* __restrict__ x, const float* __restrict__ c, float4* y, unsigned vectors, unsigned k)
{
    const unsigned first = THREADS * KEPT * blockIdx.x + threadIdx.x;
    const float last = c[k - 1];
    float4 v[KEPT], sum[KEPT];
#pragma unroll
    for (unsigned j = 0; j < KEPT; ++j) {
        const unsigned i = first + THREADS * j;
        v[j] = i < vectors ? x[i] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        sum[j] = make_float4(last, last, last, last);
    }
    for (unsigned term = k - 1; term > 0; --term) {
        const float coefficient = c[term - 1];
#pragma unroll
        for (unsigned j = 0; j < KEPT; ++j) {
            sum[j].x = fmaf(sum[j].x, v[j].x, coefficient);
            sum[j].y = fmaf(sum[j].y, v[j].y, coefficient);
            sum[j].z = fmaf(sum[j].z, v[j].z, coefficient);
            sum[j].w = fmaf(sum[j].w, v[j].w, coefficient);
        }
    }
#pragma unroll
    for (unsigned j = 0; j < KEPT; ++j) {
        const unsigned i = first + THREADS * j;
        if (i < vectors)
            y[i] = sum[j];
    }
}
