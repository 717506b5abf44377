// q4q8_gemv: y[r] = the dot product of row r of W, 4 bits a weight, and x, 8 bits an element; by __dp4a.
// Paired with ../ptx/q4q8_gemv.ptx; shapes, nibble order and launch are in ../pairs/q4q8_gemv.py.

#include <cuda_fp16.h>

// Four nibbles q as four signed bytes 16 (q - 8): in the upper half of a byte, q with its top bit flipped is q - 8.
__device__ int low_nibbles(unsigned v) { return (v << 4 & 0xf0f0f0f0) ^ 0x80808080; }
__device__ int high_nibbles(unsigned v) { return (v & 0xf0f0f0f0) ^ 0x80808080; }

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
        int dot = 0;
        dot = __dp4a(low_nibbles(q.x), x_0.x, dot);
        dot = __dp4a(low_nibbles(q.y), x_0.y, dot);
        dot = __dp4a(low_nibbles(q.z), x_0.z, dot);
        dot = __dp4a(low_nibbles(q.w), x_0.w, dot);
        dot = __dp4a(high_nibbles(q.x), x_16.x, dot);
        dot = __dp4a(high_nibbles(q.y), x_16.y, dot);
        dot = __dp4a(high_nibbles(q.z), x_16.z, dot);
        dot = __dp4a(high_nibbles(q.w), x_16.w, dot);
        const float scale = __half2float(*w_scale) * __half2float(*x_scale);    // exact: 11 times 11 bits
        sum = fmaf(static_cast<float>(dot), scale, sum);
    }

    for (unsigned distance = 16; distance > 0; distance /= 2)
        sum += __shfl_down_sync(0xffffffff, sum, distance);
    if (lane == 0)                                              // which alone has the whole sum
        y[row] = 0.0625f * sum;                                 // exact: the 16 of the nibbles
}
