// q4q8_gemv: y[r] = the dot product of row r of W, 4 bits per weight, and x, 8 bits per element; element by element.
// Paired with ../ptx/q4q8_gemv.ptx; shapes, nibble order and launch are in ../pairs/q4q8_gemv.py.

#include <cuda_fp16.h>

constexpr int ROWS = 4;                 // of a warp, one after the other: x is loaded again for each

// The dot product of the 8 weights in v and of elements k..k+3 and k+16..k+19 of a block, k = 0, 4, 8 or 12.
__device__ int dot_of_8(unsigned v, int x_k, int x_k16)
{
    int dot = 0;
    for (unsigned byte = 0; byte < 4; ++byte) {
        const int low = v >> 8 * byte & 15, high = v >> (8 * byte + 4) & 15;
        dot += (low - 8) * static_cast<signed char>(x_k >> 8 * byte);
        dot += (high - 8) * static_cast<signed char>(x_k16 >> 8 * byte);
    }
    return dot;
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

    float sums[ROWS] = {};
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        const size_t first = static_cast<size_t>(min(row + r, rows - 1)) * blocks + lane;   // beyond the last: it again
        const uint4* w_at = w + first;
        const half* w_scale_at = w_scale + first;
        const int4* x_at = x + 2 * lane;
        const half* x_scale_at = x_scale + lane;
#pragma unroll 1
        for (unsigned b = lane; b < blocks; b += 32, w_at += 32, w_scale_at += 32, x_at += 64, x_scale_at += 32) {
            const int4 x_0 = x_at[0], x_16 = x_at[1];           // elements 0..15 and 16..31 of the block
            const uint4 q = *w_at;
            const int dot = dot_of_8(q.x, x_0.x, x_16.x) + dot_of_8(q.y, x_0.y, x_16.y)
                          + dot_of_8(q.z, x_0.z, x_16.z) + dot_of_8(q.w, x_0.w, x_16.w);
            const float scale = __half2float(*w_scale_at) * __half2float(*x_scale_at);  // exact: 11 bits times 11
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
        y[row + lane / 8] = sum;
}
