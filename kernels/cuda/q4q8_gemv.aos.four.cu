// q4q8_gemv.aos: y[r] = the dot product of row r of W and x, from ggml's blocks of 18 and 34 bytes, four lanes a block.
// Paired with ../ptx/q4q8_gemv.aos.ptx; shapes, nibble order and launch are in ../pairs/q4q8_gemv.aos.py.

#include <cuda_fp16.h>

constexpr int ROWS = 4;                 // of a warp: x, its scales and its sums are loaded once for all of them

// In constant memory, so that the compiler does not know it: see q4q8_gemv.cu.
__constant__ unsigned HIGH = 0xf0f0f0f0;

struct BlockQ4 { half scale; unsigned short nibbles[8]; };      // 32 weights in 18 bytes, at even addresses
struct BlockQ8 { half scale; unsigned short elements[16]; };    // 32 elements in 34 bytes, at even addresses

// Word k of an array at an even address: two loads, because a load must be aligned to its size.
__device__ unsigned word(const unsigned short* halves, int k) { return halves[2 * k] | halves[2 * k + 1] << 16; }

// Adds up one of two rows with the lane `distance` away, which keeps the other row.
__device__ float halve(float here, float there, bool upper, int distance)
{
    return (upper ? there : here) + __shfl_xor_sync(0xffffffff, upper ? here : there, distance);
}

extern "C" __global__ void __launch_bounds__(64)
q4q8_gemv_aos(const BlockQ4* __restrict__ w, const BlockQ8* __restrict__ x, float* __restrict__ y, unsigned rows,
              unsigned blocks)
{
    const unsigned lane = threadIdx.x % 32;
    const unsigned row = 8 * blockIdx.x + ROWS * (threadIdx.x / 32);
    if (row >= rows)
        return;                                                 // the whole warp, so that no shuffle below lacks a lane

    const unsigned part = lane % 4;                             // of the four lanes that share a block
    const BlockQ4* w_at[ROWS];
    for (int r = 0; r < ROWS; ++r)                              // beyond the last row: the last row again
        w_at[r] = w + static_cast<size_t>(min(row + r, rows - 1)) * blocks + lane / 4;
    x += lane / 4;

    float sums[ROWS] = {};
#pragma unroll 4
    for (unsigned b = lane / 4; b < blocks; b += 8, x += 8) {
        const int x_0 = word(x->elements, part), x_16 = word(x->elements, part + 4);
        const float x_factor = __half2float(x->scale);
        const int eights = __dp4a(static_cast<int>(0xf8f8f8f8), x_0, 0);
#pragma unroll
        for (int r = 0; r < ROWS; ++r, w_at[r - 1] += 8) {
            const unsigned nibbles = word(w_at[r]->nibbles, part);
            const int low = __dp4a(static_cast<int>(nibbles & 0x0f0f0f0f), x_0, eights);
            const int high = __dp4a(static_cast<int>((nibbles & HIGH) ^ 0x80808080), x_16, 0);
            const float scale = __half2float(w_at[r]->scale) * x_factor;        // exact: a product of 11 and 11 bits
            sums[r] = fmaf(static_cast<float>(16 * low + high), scale, sums[r]);
        }
    }

    // Each step halves the rows that a lane has, then the lanes that have a row: lane 8 r ends with the sum of row r.
    const float sum_0 = halve(sums[0], sums[2], lane & 16, 16);
    const float sum_1 = halve(sums[1], sums[3], lane & 16, 16);
    float sum = halve(sum_0, sum_1, lane & 8, 8);
    for (unsigned distance = 4; distance > 0; distance /= 2)
        sum += __shfl_xor_sync(0xffffffff, sum, distance);
    if (lane % 8 == 0 && row + lane / 8 < rows)
        y[row + lane / 8] = 0.0625f * sum;                      // exact: the high nibbles are times 16
}
