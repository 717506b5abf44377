// w4a16_dequant: y = scale * (W x), weights of 4 bits unpacked to half2 by lop3 in inline assembly, four rows per warp.
// Paired with ../ptx/w4a16_dequant.ptx; shapes, nibble order and launch are in ../pairs/w4a16_dequant.py.

#include <cuda_fp16.h>

constexpr int ROWS = 4;                 // of a warp: x is loaded once for all of them

__device__ half2 as_half2(unsigned bits) { return *reinterpret_cast<const half2*>(&bits); }

// Two weights, in bits 0..3 and 16..19, times two elements of x, each product rounded to f16; their sum in f32.
__device__ float dot_of_2(unsigned nibbles, unsigned x)
{
    // 0x6400 is 1024, and with q in its low bits 1024 + q; 0x6408 is 1024 + 8.
    unsigned raised_bits;               // C alone cannot express this: both constants in one instruction
    asm("lop3.b32 %0, %1, 0x000f000f, 0x64006400, 0xea;" : "=r"(raised_bits) : "r"(nibbles));
    const half2 raised = as_half2(raised_bits);
    const float2 products = __half22float2(__hmul2(__hsub2(raised, as_half2(0x64086408)), as_half2(x)));
    return products.x + products.y;
}

__device__ float dot_of_8(unsigned word, uint4 x)
{
    return (dot_of_2(word, x.x) + dot_of_2(word >> 4, x.y))
         + (dot_of_2(word >> 8, x.z) + dot_of_2(word >> 12, x.w));
}

// Adds up one of two rows with the lane `distance` away, which keeps the other row.
__device__ float halve(float here, float there, bool upper, int distance)
{
    return (upper ? there : here) + __shfl_xor_sync(0xffffffff, upper ? here : there, distance);
}

extern "C" __global__ void __launch_bounds__(64)
w4a16_dequant(const unsigned* __restrict__ w, const float* __restrict__ scale, const uint4* __restrict__ x,
              float* __restrict__ y, unsigned rows, unsigned words, unsigned magic)
{
    const unsigned lane = threadIdx.x % 32;
    const unsigned vector = blockIdx.x;
    const unsigned row = 8 * blockIdx.y + ROWS * (threadIdx.x / 32);
    if (row >= rows)
        return;                                                 // the whole warp, so that no shuffle below lacks a lane

    const unsigned* w_at[ROWS];
    for (int r = 0; r < ROWS; ++r)
        w_at[r] = w + static_cast<size_t>(min(row + r, rows - 1)) * words + lane;       // beyond the last row: that row
    x += static_cast<size_t>(vector) * words + lane;            // 8 halves of x for a word of W

    float sums[ROWS] = {};
#pragma unroll 4
    for (unsigned i = lane; i < words; i += 32, x += 32) {
        const uint4 elements = *x;
#pragma unroll
        for (int r = 0; r < ROWS; ++r, w_at[r - 1] += 32)
            sums[r] += dot_of_8(*w_at[r], elements);
    }

    // Each step halves the rows that a lane has, then the lanes that have a row: lane 8 r ends with the sum of row r.
    const float sum_0 = halve(sums[0], sums[2], lane & 16, 16);
    const float sum_1 = halve(sums[1], sums[3], lane & 16, 16);
    float sum = halve(sum_0, sum_1, lane & 8, 8);
    for (unsigned distance = 4; distance > 0; distance /= 2)
        sum += __shfl_xor_sync(0xffffffff, sum, distance);
    const unsigned own = row + lane / 8;
    if (lane % 8 == 0 && own < rows)
        y[static_cast<size_t>(vector) * rows + own] = scale[own] * sum;
}
