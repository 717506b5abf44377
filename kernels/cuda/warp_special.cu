// warp_special: y = c[0] + c[1] x + .. + c[k - 1] x^(k - 1) for each element, by warps with roles.
// Paired with ../ptx/warp_special.sm_90a.ptx; shapes and launch are in ../pairs/warp_special.py.
//
// The first warpgroup copies tiles into a ring of two stages, the other two compute. Every thread has the 168 registers
// that 384 threads leave, so a computing thread keeps 48 elements and 48 results, and takes a tile in two halves.

#include <cuda/barrier>

using Barrier = cuda::barrier<cuda::thread_scope_block>;

constexpr unsigned TILE = 6144;         // vectors of 16 bytes
constexpr unsigned COMPUTING = 256;     // threads
constexpr unsigned KEPT = 12;           // vectors that a thread keeps at a time

extern __shared__ float4 stages[];      // two tiles

// sum = the polynomial at each element of v, by Horner's rule
template <unsigned COUNT>
__device__ void evaluate(float4 (&sum)[COUNT], const float4 (&v)[COUNT], const float* __restrict__ c, unsigned k)
{
    const float last = c[k - 1];
#pragma unroll
    for (unsigned j = 0; j < COUNT; ++j)
        sum[j] = make_float4(last, last, last, last);
    for (unsigned term = k - 1; term > 0; --term) {
        const float coefficient = c[term - 1];
#pragma unroll
        for (unsigned j = 0; j < COUNT; ++j) {
            sum[j].x = fmaf(sum[j].x, v[j].x, coefficient);
            sum[j].y = fmaf(sum[j].y, v[j].y, coefficient);
            sum[j].z = fmaf(sum[j].z, v[j].z, coefficient);
            sum[j].w = fmaf(sum[j].w, v[j].w, coefficient);
        }
    }
}

extern "C" __global__ void __launch_bounds__(384, 1)
warp_special(const float4* x, const float* __restrict__ c, float4* y, unsigned vectors, unsigned k)
{
#pragma nv_diag_suppress static_var_with_dynamic_init
    __shared__ Barrier full[2];         // one arrival, and the bytes of a tile
    __shared__ Barrier empty[2];        // the arrivals of the computing threads
    if (threadIdx.x == 0)
        for (unsigned stage = 0; stage < 2; ++stage) {
            init(&full[stage], 1);
            init(&empty[stage], COMPUTING);
        }
    __syncthreads();

    unsigned stage = 0;
    unsigned phase = 0;
    if (threadIdx.x < 128) {
        if (threadIdx.x != 0)
            return;
        for (unsigned first = TILE * blockIdx.x; first < vectors; first += TILE * gridDim.x) {
            empty[stage].wait_parity(phase ^ 1);        // a wait for the phase before the first, which ends at once
            const auto bytes = cuda::aligned_size_t<16>(16 * min(vectors - first, TILE));
            cuda::memcpy_async(&stages[TILE * stage], &x[first], bytes, full[stage]);
            (void)full[stage].arrive();
            stage ^= 1;
            phase ^= stage == 0;
        }
        return;
    }

    const unsigned consumer = threadIdx.x - 128;
    for (unsigned first = TILE * blockIdx.x; first < vectors; first += TILE * gridDim.x) {
        full[stage].wait_parity(phase);
        const float4* const tile = &stages[TILE * stage];
        if (vectors - first >= TILE) {
#pragma unroll 1
            for (unsigned half = 0; half < 2; ++half) {
                const unsigned from = COMPUTING * KEPT * half + consumer;
                float4 v[KEPT], sum[KEPT];
#pragma unroll
                for (unsigned j = 0; j < KEPT; ++j)
                    v[j] = tile[from + COMPUTING * j];
                if (half == 1)
                    (void)empty[stage].arrive();        // the stage is filled again while the elements are computed
                evaluate(sum, v, c, k);
#pragma unroll
                for (unsigned j = 0; j < KEPT; ++j)
                    y[first + from + COMPUTING * j] = sum[j];
            }
        } else {
            // The last tile of all, one vector at a time.
#pragma unroll 1
            for (unsigned i = consumer; i < vectors - first; i += COMPUTING) {
                float4 v[1] = {tile[i]}, sum[1];
                evaluate(sum, v, c, k);
                y[first + i] = sum[0];
            }
        }
        stage ^= 1;
        phase ^= stage == 0;
    }
}
