// q4q8_gemv: y[r] = the dot product of row r of W, 4 bits a weight, and x, 8 bits an element; element by element.
// Paired with ../ptx/q4q8_gemv.ptx; shapes, nibble order and launch are in ../pairs/q4q8_gemv.py.

#include <cuda_fp16.h>

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

extern "C" __global__ void __launch_bounds__(256)
q4q8_gemv(const uint4* __restrict__ w, const half* __restrict__ w_scale, const int4* __restrict__ x,
          const half* __restrict__ x_scale, float* __restrict__ y, unsigned rows, unsigned blocks)
{
    const unsigned lane = threadIdx.x % 32;
    const unsigned row = 8 * blockIdx.x + threadIdx.x / 32;     // one warp a row
    if (row >= rows)
        return;                                                 // the whole warp: no shuffle below lacks a lane

    const size_t first = static_cast<size_t>(row) * blocks + lane;
    w += first;
    w_scale += first;
    x += 2 * lane;
    x_scale += lane;

    float sum = 0.0f;
    for (unsigned b = lane; b < blocks; b += 32, w += 32, w_scale += 32, x += 64, x_scale += 32) {
        const uint4 q = *w;
        const int4 x_0 = x[0], x_16 = x[1];                     // elements 0..15 and 16..31 of the block
        const int dot = dot_of_8(q.x, x_0.x, x_16.x) + dot_of_8(q.y, x_0.y, x_16.y)
                      + dot_of_8(q.z, x_0.z, x_16.z) + dot_of_8(q.w, x_0.w, x_16.w);
        const float scale = __half2float(*w_scale) * __half2float(*x_scale);    // exact: 11 times 11 bits
        sum = fmaf(static_cast<float>(dot), scale, sum);
    }

    for (unsigned distance = 16; distance > 0; distance /= 2)
        sum += __shfl_down_sync(0xffffffff, sum, distance);
    if (lane == 0)                                              // which alone has the whole sum
        y[row] = sum;
}
