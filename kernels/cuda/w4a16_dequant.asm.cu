// w4a16_dequant: y = scale * (W x), 4-bit weights unpacked to half2 by lop3 in inline assembly, four rows per warp.
// Paired with ../ptx/w4a16_dequant.ptx; shapes, nibble order and launch are in ../pairs/w4a16_dequant.py.

#include <cuda_fp16.h>

constexpr int ROWS = 4;                 // rows of a warp: x is loaded once for all

__device__ half2 as_half2(unsigned bits) { return *reinterpret_cast<const half2*>(&bits); }

// Two weights, in bits 0..3 and 16..19, times two elements of x. Each product is rounded to f16; the sum is f32.
__device__ float dot_of_2(unsigned nibbles, unsigned x)
{
    // 0x6400 is 1024, and with q in its low bits 1024 + q; 0x6408 is 1024 + 8.
    unsigned raised_bits;               // not possible in plain C: both constants in one instruction
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

// A lane's sum of the row that it keeps, after an exchange with the lane `distance` away, which keeps the other row.
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
        return;                                                 // the whole warp: all lanes reach the shuffles below

    const unsigned* w_at[ROWS];
    for (int r = 0; r < ROWS; ++r)
        w_at[r] = w + static_cast<size_t>(min(row + r, rows - 1)) * words + lane;       // at most the last row
    x += static_cast<size_t>(vector) * words + lane;            // 8 halves of x for a word of W

    float sums[ROWS] = {};
#pragma unroll 4
    for (unsigned i = lane; i < words; i += 32, x += 32) {
        const uint4 elements = *x;
#pragma unroll
        for (int r = 0; r < ROWS; ++r, w_at[r - 1] += 32)
            sums[r] += dot_of_8(*w_at[r], elements);
    }

    // Two steps halve the rows of a lane, the others the lanes of a row: lane 8 r has the sum of row r at the end.
    const float sum_0 = halve(sums[0], sums[2], lane & 16, 16);
    const float sum_1 = halve(sums[1], sums[3], lane & 16, 16);
    float sum = halve(sum_0, sum_1, lane & 8, 8);
    for (unsigned distance = 4; distance > 0; distance /= 2)
        sum += __shfl_xor_sync(0xffffffff, sum, distance);
    const unsigned own = row + lane / 8;
    if (lane % 8 == 0 && own < rows)
        y[static_cast<size_t>(vector) * rows + own] = scale[own] * sum;
}
