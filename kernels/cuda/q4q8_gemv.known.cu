// q4q8_gemv: y[r] = the dot product of row r of W, 4 bits per weight, and x, 8 bits per element; by __dp4a.
// Paired with ../ptx/q4q8_gemv.ptx; shapes, nibble order and launch are in ../pairs/q4q8_gemv.py.

#include <cuda_fp16.h>

constexpr int ROWS = 4;                 // of a warp: x, its scales and its sums are loaded once for all of them

// q4q8_gemv.cu has it in constant memory. Here the compiler knows it.
constexpr unsigned HIGH = 0xf0f0f0f0;

// 16 times the dot product of 32 weights in q and a block of x, whose first 16 elements times -8 add up to `eights`.
__device__ int dot_of(uint4 q, int4 x_0, int4 x_16, int eights)
{
    int low = eights, high = 0;         // a nibble q means q - 8; for the low nibbles `eights` is the - 8
    low = __dp4a(static_cast<int>(q.x & 0x0f0f0f0f), x_0.x, low);
    low = __dp4a(static_cast<int>(q.y & 0x0f0f0f0f), x_0.y, low);
    low = __dp4a(static_cast<int>(q.z & 0x0f0f0f0f), x_0.z, low);
    low = __dp4a(static_cast<int>(q.w & 0x0f0f0f0f), x_0.w, low);
    // In the upper half of a byte, q with its top bit flipped is the signed 16 (q - 8).
    high = __dp4a(static_cast<int>((q.x & HIGH) ^ 0x80808080), x_16.x, high);
    high = __dp4a(static_cast<int>((q.y & HIGH) ^ 0x80808080), x_16.y, high);
    high = __dp4a(static_cast<int>((q.z & HIGH) ^ 0x80808080), x_16.z, high);
    high = __dp4a(static_cast<int>((q.w & HIGH) ^ 0x80808080), x_16.w, high);
    return 16 * low + high;
}

// The sum of one row in this lane and in the lane `distance` away, which keeps the other of `here` and
// `there`.
__device__ float halve(float here, float there, bool upper, int distance)
{
    return (upper ? there : here) + __shfl_xor_sync(0xffffffff, upper ? here : there, distance);
}

extern "C" __global__ void __launch_bounds__(64)
q4q8_gemv(const uint4* __restrict__ w, const half* __restrict__ w_scale, const int4* __restrict__ x,
          const half* __restrict__ x_scale, float* __restrict__ y, unsigned rows, unsigned blocks)
{
    const unsigned lane = threadIdx.x % 32;
    const unsigned row = 8 * blockIdx.x + ROWS * (threadIdx.x / 32);
    if (row >= rows)
        return;                                                 // the whole warp, so that no shuffle below lacks a lane

    const uint4* w_at[ROWS];
    const half* w_scale_at[ROWS];
    for (int r = 0; r < ROWS; ++r) {
        const size_t first = static_cast<size_t>(min(row + r, rows - 1)) * blocks + lane;   // beyond the last: it again
        w_at[r] = w + first;
        w_scale_at[r] = w_scale + first;
    }
    x += 2 * lane;
    x_scale += lane;

    float sums[ROWS] = {};
#pragma unroll 4
    for (unsigned b = lane; b < blocks; b += 32, x += 64, x_scale += 32) {
        const int4 x_0 = x[0], x_16 = x[1];                     // elements 0..15 and 16..31 of the block
        const float x_factor = __half2float(*x_scale);
        int eights = 0;
        eights = __dp4a(static_cast<int>(0xf8f8f8f8), x_0.x, eights);
        eights = __dp4a(static_cast<int>(0xf8f8f8f8), x_0.y, eights);
        eights = __dp4a(static_cast<int>(0xf8f8f8f8), x_0.z, eights);
        eights = __dp4a(static_cast<int>(0xf8f8f8f8), x_0.w, eights);
#pragma unroll
        for (int r = 0; r < ROWS; ++r, w_at[r - 1] += 32, w_scale_at[r - 1] += 32) {
            const int dot = dot_of(*w_at[r], x_0, x_16, eights);
            const float scale = __half2float(*w_scale_at[r]) * x_factor;        // exact: a product of 11 and 11 bits
            sums[r] = fmaf(static_cast<float>(dot), scale, sums[r]);
        }
    }

    // Each step halves the rows that a lane has, then the lanes that have a row: lane 8 r ends with the sum of row r.
    float sum_0 = halve(sums[0], sums[2], lane & 16, 16);
    float sum_1 = halve(sums[1], sums[3], lane & 16, 16);
    float sum = halve(sum_0, sum_1, lane & 8, 8);
    for (unsigned distance = 4; distance > 0; distance /= 2)
        sum += __shfl_xor_sync(0xffffffff, sum, distance);
    if (lane % 8 == 0 && row + lane / 8 < rows)
        y[row + lane / 8] = 0.0625f * sum;                      // exact: the high nibbles are times 16
}
