// hgemm_mma: c = a b, a m x k and b k x n of f16, c of f32, by wmma in tiles of 128 x 128 x 32 per CTA, 64 x 64 a warp.
// Paired with ../ptx/hgemm_mma.ptx; shapes and launch are in ../pairs/hgemm_mma.py. n and k are multiples of 8.

#include <cuda_fp16.h>
#include <cuda_pipeline_primitives.h>
#include <mma.h>

using namespace nvcuda;

#ifndef STAGES
#define STAGES 3
#endif

// A stage has 128 rows of 32 halves of a, 32 rows of 128 of b. Both are in 16 long rows: rows r, r + 16, r + 32 .. of
// all stages, one after the other. 8 unused halves after each row shift the next row by 4 banks, so that a fragment
// and a copy find eight rows in different banks. A fragment begins at a multiple of 32 bytes, as wmma requires it.
constexpr unsigned A_ROW = 8 * STAGES * 32 + 8, B_ROW = 2 * STAGES * 128 + 8;
extern __shared__ __align__(128) __half tiles[];

// WHOLE: all of the tile is inside c, and k is a multiple of 32, so that nothing needs a guard.
template <bool WHOLE>
__device__ __forceinline__ void multiply(const __half* __restrict__ a, const __half* __restrict__ b,
                                         float* __restrict__ c, unsigned m, unsigned n, unsigned k)
{
    __half* a_tile = tiles;
    __half* b_tile = tiles + 16 * A_ROW;
    const unsigned thread = threadIdx.x;
    const unsigned warp = thread / 32, lane = thread % 32;
    const unsigned first_row = 128 * blockIdx.y, first_column = 128 * blockIdx.x;

    // The thread copies eight halves of rows a_row + 32 i of a and b_row + 8 i of b. Eight lanes have eight rows of a,
    // in eight different places of 128 bytes, and a warp still copies whole sectors.
    const unsigned a_row = thread % 8 + 8 * (thread / 32), a_column = 8 * (thread / 8 % 4);
    const unsigned b_row = thread / 16, b_column = 8 * (thread % 16);
    const __half* a_from = a + static_cast<size_t>(first_row + a_row) * k + a_column;
    const __half* b_from = b + static_cast<size_t>(b_row) * n + first_column + b_column;
    __half* a_to = a_tile + a_row % 16 * A_ROW + a_row / 16 * STAGES * 32 + a_column;
    __half* b_to = b_tile + b_row * B_ROW + b_column;

    // Starts to copy columns k0 to k0 + 31 of a, and those rows of b, into a stage. Elements outside are zero.
    auto fetch = [&](unsigned stage, unsigned k0) {
        if (k0 < k) {
            for (unsigned i = 0; i < 4; ++i) {
                __half* to = a_to + 2 * i * STAGES * 32 + 32 * stage;
                if (WHOLE || (first_row + a_row + 32 * i < m && k0 + a_column < k))
                    __pipeline_memcpy_async(to, a_from + static_cast<size_t>(32 * i) * k, 16);
                else
                    *reinterpret_cast<uint4*>(to) = make_uint4(0, 0, 0, 0);
            }
            for (unsigned i = 0; i < 4; ++i) {
                __half* to = b_to + i % 2 * 8 * B_ROW + i / 2 * STAGES * 128 + 128 * stage;
                if (WHOLE || (k0 + b_row + 8 * i < k && first_column + b_column < n))
                    __pipeline_memcpy_async(to, b_from + static_cast<size_t>(8 * i) * n, 16);
                else
                    *reinterpret_cast<uint4*>(to) = make_uint4(0, 0, 0, 0);
            }
            a_from += 32;
            b_from += 32 * static_cast<size_t>(n);
        }
        __pipeline_commit();            // empty after the last slab, so that all waits count the same
    };

    const unsigned y = 64 * (warp / 2), x = 64 * (warp % 2);    // of the warp in the tile
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums[4][4];
    for (unsigned i = 0; i < 4; ++i)
        for (unsigned j = 0; j < 4; ++j)
            wmma::fill_fragment(sums[i][j], 0.0f);

    for (unsigned stage = 0; stage < STAGES - 1; ++stage)
        fetch(stage, 32 * stage);
    #pragma unroll 1
    for (unsigned base = 0; base < k; base += 32 * STAGES) {
        // Written out, so that the stage is a constant in every address.
        #pragma unroll (WHOLE ? STAGES : 1)
        for (unsigned stage = 0; stage < STAGES; ++stage) {
            const unsigned k0 = base + 32 * stage;
            if (k0 >= k)
                break;
            __pipeline_wait_prior(STAGES - 2);
            __syncthreads();            // all threads' pieces have arrived, and all have finished the previous stage
            fetch((stage + STAGES - 1) % STAGES, k0 + 32 * (STAGES - 1));
            for (unsigned step = 0; step < 2; ++step) {
                wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> a_part[4];
                wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::row_major> b_part[4];
                for (unsigned i = 0; i < 4; ++i)
                    wmma::load_matrix_sync(a_part[i],
                                           a_tile + (y / 16 + i) * STAGES * 32 + 32 * stage + 16 * step, A_ROW);
                for (unsigned j = 0; j < 4; ++j)
                    wmma::load_matrix_sync(b_part[j], b_tile + step * STAGES * 128 + 128 * stage + x + 16 * j, B_ROW);
                for (unsigned i = 0; i < 4; ++i)
                    for (unsigned j = 0; j < 4; ++j)
                        wmma::mma_sync(sums[i][j], a_part[i], b_part[j], sums[i][j]);
            }
        }
    }

    // A fragment does not say where its elements belong: in a ragged tile it goes through shared memory.
    if (!WHOLE)
        __syncthreads();
    float* patch = reinterpret_cast<float*>(tiles) + 256 * warp;
    for (unsigned i = 0; i < 4; ++i)
        for (unsigned j = 0; j < 4; ++j) {
            const unsigned row = first_row + y + 16 * i, column = first_column + x + 16 * j;
            float* to = c + static_cast<size_t>(row) * n + column;
            if (WHOLE) {
                wmma::store_matrix_sync(to, sums[i][j], n, wmma::mem_row_major);
            } else {
                wmma::store_matrix_sync(patch, sums[i][j], 16, wmma::mem_row_major);
                __syncwarp();
                const unsigned r = lane / 4, q = 4 * (lane % 4);        // four floats per lane: n is a multiple of 8
                for (unsigned s = r; s < 16; s += 8)
                    if (row + s < m && column + q < n)
                        *reinterpret_cast<float4*>(to + s * static_cast<size_t>(n) + q) =
                            *reinterpret_cast<const float4*>(patch + 16 * s + q);
                __syncwarp();
            }
        }
}

extern "C" __global__ void __launch_bounds__(128)
hgemm_mma(const __half* __restrict__ a, const __half* __restrict__ b, float* __restrict__ c, unsigned m, unsigned n,
          unsigned k)
{
    if (128 * blockIdx.y + 128 <= m && 128 * blockIdx.x + 128 <= n && k % 32 == 0)
        multiply<true>(a, b, c, m, n, k);
    else
        multiply<false>(a, b, c, m, n, k);
}
