// hgemm_mma: c = a b, a m x k and b k x n of f16, c of f32, by wmma in tiles of 128 x 128 x 32 a CTA, 64 x 64 a warp.
// Paired with ../ptx/hgemm_mma.ptx; shapes and launch are in ../pairs/hgemm_mma.py. n and k are multiples of 8.

#include <cuda_fp16.h>
#include <cuda_pipeline_primitives.h>
#include <mma.h>

using namespace nvcuda;

extern "C" __global__ void __launch_bounds__(128)
hgemm_mma(const __half* __restrict__ a, const __half* __restrict__ b, float* __restrict__ c, unsigned m, unsigned n,
          unsigned k)
{
    // Two stages: one is multiplied while the next is on its way. Rows are 8 halves longer than they need be, so that
    // eight of them lie in different banks. A fragment begins at a multiple of 32 bytes.
    __shared__ __align__(32) __half a_tile[2][128][40];
    __shared__ __align__(32) __half b_tile[2][32][136];
    const unsigned thread = threadIdx.x;
    const unsigned warp = thread / 32, lane = thread % 32;
    const unsigned first_row = 128 * blockIdx.y, first_column = 128 * blockIdx.x;

    // Starts to copy columns k0 to k0 + 31 of a, and those rows of b, into a stage: eight pieces of 16 bytes a thread.
    // Of a piece that lies outside, nothing is read, and zeros are written.
    auto fetch = [&](unsigned stage, unsigned k0) {
        for (unsigned i = 0; i < 4; ++i) {
            const unsigned row = thread / 4 + 32 * i, column = 8 * (thread % 4);
            const bool inside = first_row + row < m && k0 + column < k;
            __pipeline_memcpy_async(&a_tile[stage][row][column],
                                    a + static_cast<size_t>(first_row + row) * k + k0 + column, 16, inside ? 0 : 16);
        }
        for (unsigned i = 0; i < 4; ++i) {
            const unsigned row = thread / 16 + 8 * i, column = 8 * (thread % 16);
            const bool inside = k0 + row < k && first_column + column < n;
            __pipeline_memcpy_async(&b_tile[stage][row][column],
                                    b + static_cast<size_t>(k0 + row) * n + first_column + column, 16, inside ? 0 : 16);
        }
        __pipeline_commit();
    };

    const unsigned y = 64 * (warp / 2), x = 64 * (warp % 2);    // of the warp in the tile
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums[4][4];
    for (unsigned i = 0; i < 4; ++i)
        for (unsigned j = 0; j < 4; ++j)
            wmma::fill_fragment(sums[i][j], 0.0f);

    unsigned stage = 0;
    fetch(stage, 0);
    for (unsigned k0 = 0; k0 < k; k0 += 32) {
        __pipeline_wait_prior(0);
        __syncthreads();                // everyone's pieces are there, and everyone is done with the other stage
        if (k0 + 32 < k)
            fetch(stage ^ 1, k0 + 32);
        for (unsigned step = 0; step < 32; step += 16) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> a_part[4];
            wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::row_major> b_part[4];
            for (unsigned i = 0; i < 4; ++i)
                wmma::load_matrix_sync(a_part[i], &a_tile[stage][y + 16 * i][step], 40);
            for (unsigned j = 0; j < 4; ++j)
                wmma::load_matrix_sync(b_part[j], &b_tile[stage][step][x + 16 * j], 136);
            for (unsigned i = 0; i < 4; ++i)
                for (unsigned j = 0; j < 4; ++j)
                    wmma::mma_sync(sums[i][j], a_part[i], b_part[j], sums[i][j]);
        }
        stage ^= 1;
    }

    // A fragment does not tell where its elements belong: one that reaches over an edge goes through shared memory.
    __syncthreads();
    float* patch = reinterpret_cast<float*>(a_tile) + 256 * warp;
    for (unsigned i = 0; i < 4; ++i)
        for (unsigned j = 0; j < 4; ++j) {
            const unsigned row = first_row + y + 16 * i, column = first_column + x + 16 * j;
            float* to = c + static_cast<size_t>(row) * n + column;
            if (row + 16 <= m && column + 16 <= n) {
                wmma::store_matrix_sync(to, sums[i][j], n, wmma::mem_row_major);
            } else {
                wmma::store_matrix_sync(patch, sums[i][j], 16, wmma::mem_row_major);
                __syncwarp();
                const unsigned r = lane / 2, q = 8 * (lane % 2);        // eight floats a lane: n is a multiple of 8
                if (row + r < m && column + q < n)
                    for (unsigned s = 0; s < 8; s += 4)
                        *reinterpret_cast<float4*>(to + r * static_cast<size_t>(n) + q + s) =
                            *reinterpret_cast<const float4*>(patch + 16 * r + q + s);
                __syncwarp();
            }
        }
}
