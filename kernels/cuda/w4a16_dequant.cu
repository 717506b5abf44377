// w4a16_dequant: y = scale * (W x), weights of 4 bits unpacked to half2 by & and | of a constant, a warp a row.
// Paired with ../ptx/w4a16_dequant.ptx; shapes, nibble order and launch are in ../pairs/w4a16_dequant.py.

#include <cuda_fp16.h>

__device__ half2 as_half2(unsigned bits) { return *reinterpret_cast<const half2*>(&bits); }

// Two weights, in bits 0..3 and 16..19, times two elements of x, each product rounded to f16; their sum in f32.
__device__ float dot_of_2(unsigned nibbles, unsigned x)
{
    // 0x6400 is 1024, and with q in its low bits 1024 + q; 0x6408 is 1024 + 8.
    const half2 raised = as_half2((nibbles & 0x000f000f) | 0x64006400);
    const float2 products = __half22float2(__hmul2(__hsub2(raised, as_half2(0x64086408)), as_half2(x)));
    return products.x + products.y;
}

__device__ float dot_of_8(unsigned word, uint4 x)
{
    return (dot_of_2(word, x.x) + dot_of_2(word >> 4, x.y)) + (dot_of_2(word >> 8, x.z) + dot_of_2(word >> 12, x.w));
}

extern "C" __global__ void __launch_bounds__(256)
w4a16_dequant(const unsigned* __restrict__ w, const float* __restrict__ scale, const uint4* __restrict__ x,
              float* __restrict__ y, unsigned rows, unsigned words, unsigned magic)
{
    const unsigned lane = threadIdx.x % 32;
    const unsigned vector = blockIdx.x;
    const unsigned row = 8 * blockIdx.y + threadIdx.x / 32;     // one warp a row
    if (row >= rows)
        return;                                                 // the whole warp: no shuffle below lacks a lane

    w += static_cast<size_t>(row) * words + lane;
    x += static_cast<size_t>(vector) * words + lane;            // 8 halves of x to a word of W

    // Two words a round, 32 apart: one load of 4 bytes a thread is too little under way for DRAM.
    float sum = 0.0f;
#pragma unroll 1                                                // as the PTX: a round is four loads already
    for (unsigned i = lane; i < words; i += 64, w += 64, x += 64) {
        const bool two = i + 32 < words;
        const unsigned w_a = w[0], w_b = two ? w[32] : 0;
        const uint4 x_a = x[0], x_b = two ? x[32] : make_uint4(0, 0, 0, 0);     // adds 0
        sum += dot_of_8(w_a, x_a) + dot_of_8(w_b, x_b);
    }

    for (unsigned distance = 16; distance > 0; distance /= 2)
        sum += __shfl_down_sync(0xffffffff, sum, distance);
    if (lane == 0)                                              // which alone has the whole sum
        y[static_cast<size_t>(vector) * rows + row] = scale[row] * sum;
}
