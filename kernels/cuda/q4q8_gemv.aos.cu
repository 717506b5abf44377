// q4q8_gemv.aos: y[r] = the dot product of row r of W and x, from ggml's blocks of 18 and 34 bytes, by __dp4a.
// Paired with ../ptx/q4q8_gemv.aos.ptx; shapes, nibble order and launch are in ../pairs/q4q8_gemv.aos.py.

#include <cuda_fp16.h>

struct BlockQ4 { half scale; unsigned short nibbles[8]; };      // 32 weights in 18 bytes, at even addresses
struct BlockQ8 { half scale; unsigned short elements[16]; };    // 32 elements in 34 bytes, at even addresses

// Word k of an array that lies at an even address: two loads, since a load must be aligned to its size.
__device__ unsigned word(const unsigned short* halves, int k) { return halves[2 * k] | halves[2 * k + 1] << 16; }

// Four nibbles q as four signed bytes 16 (q - 8): in the upper half of a byte, q with its top bit flipped is q - 8.
__device__ int low_nibbles(unsigned v) { return (v << 4 & 0xf0f0f0f0) ^ 0x80808080; }
__device__ int high_nibbles(unsigned v) { return (v & 0xf0f0f0f0) ^ 0x80808080; }

extern "C" __global__ void __launch_bounds__(256)
q4q8_gemv_aos(const BlockQ4* __restrict__ w, const BlockQ8* __restrict__ x, float* __restrict__ y, unsigned rows,
              unsigned blocks)
{
    const unsigned lane = threadIdx.x % 32;
    const unsigned row = 8 * blockIdx.x + threadIdx.x / 32;     // one warp a row
    if (row >= rows)
        return;                                                 // the whole warp: no shuffle below lacks a lane

    w += static_cast<size_t>(row) * blocks + lane;
    x += lane;

    float sum = 0.0f;
    for (unsigned b = lane; b < blocks; b += 32, w += 32, x += 32) {
        int dot = 0;
        for (int k = 0; k < 4; ++k)
            dot = __dp4a(low_nibbles(word(w->nibbles, k)), static_cast<int>(word(x->elements, k)), dot);
        for (int k = 0; k < 4; ++k)
            dot = __dp4a(high_nibbles(word(w->nibbles, k)), static_cast<int>(word(x->elements, k + 4)), dot);
        const float scale = __half2float(w->scale) * __half2float(x->scale);    // exact: 11 times 11 bits
        sum = fmaf(static_cast<float>(dot), scale, sum);
    }

    for (unsigned distance = 16; distance > 0; distance /= 2)
        sum += __shfl_down_sync(0xffffffff, sum, distance);
    if (lane == 0)                                              // which alone has the whole sum
        y[row] = 0.0625f * sum;                                 // exact: the 16 of the nibbles
}
