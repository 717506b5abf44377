// w4a16_dequant: y = scale * (W x), weights of 4 bits converted by & alone, four rows per warp.
// Paired with ../ptx/w4a16_dequant.ptx; shapes, nibble order and launch are in ../pairs/w4a16_dequant.py.

#include <cuda_fp16.h>

constexpr int ROWS = 4;                 // of a warp: x is loaded, converted and added up once for all of them

// 2^exponent. A float whose exponent field is 0 is its low bits times 2^-149: so a nibble `place` bits from the right
// is a weight without any conversion, q * 2^(place - 149). x is scaled up by 2^(UP - place) to compensate for it,
// exactly: |x| < 2^16. With --use_fast_math such numbers count as 0, and this does not work.
constexpr int UP = 100;
__device__ float power_of_2(int exponent) { return __uint_as_float((127 + exponent) << 23); }
__device__ float weight(unsigned bits) { return __uint_as_float(bits); }

__device__ float2 pair_of(unsigned bits) { return __half22float2(*reinterpret_cast<const half2*>(&bits)); }

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

    float sums[ROWS] = {}, x_sum = 0.0f;
#pragma unroll 4
    for (unsigned i = lane; i < words; i += 32, x += 32) {
        const uint4 elements = *x;
        const float2 x_01 = pair_of(elements.x), x_23 = pair_of(elements.y);
        const float2 x_45 = pair_of(elements.z), x_67 = pair_of(elements.w);
        x_sum += ((x_01.x + x_01.y) + (x_23.x + x_23.y)) + ((x_45.x + x_45.y) + (x_67.x + x_67.y));
        const float up_0 = x_01.x * power_of_2(UP), up_1 = x_01.y * power_of_2(UP - 16);
        const float up_2 = x_23.x * power_of_2(UP - 4), up_3 = x_23.y * power_of_2(UP - 8);
        const float up_4 = x_45.x * power_of_2(UP - 8), up_5 = x_45.y * power_of_2(UP - 12);
        const float up_6 = x_67.x * power_of_2(UP - 12), up_7 = x_67.y * power_of_2(UP - 16);
#pragma unroll
        for (int r = 0; r < ROWS; ++r, w_at[r - 1] += 32) {
            const unsigned word = *w_at[r], rest = word >> 12;  // those that reach into the exponent, bits 23 to 30
            float sum = sums[r];
            sum = fmaf(weight(word & 0xf), up_0, sum);
            sum = fmaf(weight(word & 0xf0000), up_1, sum);
            sum = fmaf(weight(word & 0xf0), up_2, sum);
            sum = fmaf(weight(rest & 0xf00), up_3, sum);
            sum = fmaf(weight(word & 0xf00), up_4, sum);
            sum = fmaf(weight(rest & 0xf000), up_5, sum);
            sum = fmaf(weight(word & 0xf000), up_6, sum);
            sum = fmaf(weight(rest & 0xf0000), up_7, sum);
            sums[r] = sum;
        }
    }
    for (int r = 0; r < ROWS; ++r)                              // a nibble q means q - 8
        sums[r] = fmaf(sums[r], power_of_2(149 - UP), -8.0f * x_sum);

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
