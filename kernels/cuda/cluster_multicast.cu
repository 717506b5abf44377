// cluster_multicast: c = a bT in f16, c in f32, by wmma in tiles of 64 x 64 x 64 per CTA, 32 x 32 per warp. Paired with
// ../ptx/cluster_multicast.sm_90a.ptx; shapes and launch are in ../pairs/cluster_multicast.py. n and k are multiples of
// 8. CUDA C has no copy to several CTAs: each CTA copies all that it needs. It is launched in clusters of two, like the
// PTX, but does not use them.

#include <cuda_fp16.h>
#include <cuda_pipeline_primitives.h>
#include <mma.h>

using namespace nvcuda;

// A tensor map, which only the PTX uses.
struct __align__(64) Map { char bytes[128]; };

// 8 unused halves after each row shift the next row by 4 banks, so that a fragment and a copy find eight rows in
// different banks. A fragment begins at a multiple of 32 bytes, as wmma requires it.
constexpr unsigned STAGES = 4, SLAB = 64, TILE = 64, ROW = SLAB + 8, STAGE = 2 * TILE * ROW;
extern __shared__ __align__(128) __half stages[];

extern "C" __global__ void __launch_bounds__(128)
cluster_multicast(const __half* __restrict__ a, const __half* __restrict__ b, float* __restrict__ c,
                  const __grid_constant__ Map map_a, const __grid_constant__ Map map_b,
                  unsigned m, unsigned n, unsigned k)
{
    const unsigned thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    const unsigned first_row = TILE * blockIdx.y, first_column = TILE * blockIdx.x;

    // The thread copies 8 halves of rows copy_row + 16 i of both tiles. Eight lanes share a row.
    const unsigned copy_row = thread / 8, copy_column = 8 * (thread % 8);
    const __half* a_from = a + static_cast<size_t>(first_row + copy_row) * k + copy_column;
    const __half* b_from = b + static_cast<size_t>(first_column + copy_row) * k + copy_column;
    const unsigned to = copy_row * ROW + copy_column;

    // Starts to copy columns k0 to k0 + 63 of a and of b into a stage. Elements outside are zero.
    auto fetch = [&](unsigned stage, unsigned k0) {
        if (k0 < k) {
            const bool in_slab = k0 + copy_column < k;
            #pragma unroll
            for (unsigned i = 0; i < 4; ++i) {
                __half* at = stages + stage * STAGE + to + 16 * ROW * i;
                const bool a_there = in_slab && first_row + copy_row + 16 * i < m;
                const bool b_there = in_slab && first_column + copy_row + 16 * i < n;
                const size_t rows = 16 * static_cast<size_t>(k) * i;
                __pipeline_memcpy_async(at, a_there ? a_from + rows : a, 16, a_there ? 0 : 16);
                __pipeline_memcpy_async(at + TILE * ROW, b_there ? b_from + rows : b, 16, b_there ? 0 : 16);
            }
            a_from += SLAB;
            b_from += SLAB;
        }
        __pipeline_commit();            // after the last slab an empty group, so that all waits count the same
    };

    const unsigned y = 32 * (warp / 2), x = 32 * (warp % 2);    // of the warp in the tile
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums[2][2];
    for (unsigned i = 0; i < 2; ++i)
        for (unsigned j = 0; j < 2; ++j)
            wmma::fill_fragment(sums[i][j], 0.0f);

    for (unsigned stage = 0; stage < STAGES - 1; ++stage)
        fetch(stage, SLAB * stage);
    unsigned stage = 0;
    #pragma unroll 1
    for (unsigned k0 = 0; k0 < k; k0 += SLAB) {
        __pipeline_wait_prior(STAGES - 2);
        __syncthreads();                // all threads' pieces have arrived, and all have finished the previous stage
        fetch(stage == 0 ? STAGES - 1 : stage - 1, k0 + SLAB * (STAGES - 1));
        const __half* a_tile = stages + stage * STAGE;
        const __half* b_tile = a_tile + TILE * ROW;
        #pragma unroll
        for (unsigned step = 0; step < SLAB; step += 16) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> a_part[2];
            wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::col_major> b_part[2];
            for (unsigned i = 0; i < 2; ++i) {
                wmma::load_matrix_sync(a_part[i], a_tile + (y + 16 * i) * ROW + step, ROW);
                wmma::load_matrix_sync(b_part[i], b_tile + (x + 16 * i) * ROW + step, ROW);
            }
            for (unsigned i = 0; i < 2; ++i)
                for (unsigned j = 0; j < 2; ++j)
                    wmma::mma_sync(sums[i][j], a_part[i], b_part[j], sums[i][j]);
        }
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    }

    // A fragment does not say where its elements belong: it goes through shared memory, 16 x 16 at a time.
    __syncthreads();
    float* patch = reinterpret_cast<float*>(stages) + 256 * warp;
    const unsigned r = lane / 4, q = 4 * (lane % 4);
    #pragma unroll
    for (unsigned i = 0; i < 2; ++i)
        #pragma unroll
        for (unsigned j = 0; j < 2; ++j) {
            wmma::store_matrix_sync(patch, sums[i][j], 16, wmma::mem_row_major);
            __syncwarp();
            for (unsigned s = r; s < 16; s += 8) {
                const unsigned row = first_row + y + 16 * i + s, column = first_column + x + 16 * j + q;
                if (row < m && column < n)              // n is a multiple of 8
                    *reinterpret_cast<float4*>(c + static_cast<size_t>(row) * n + column) =
                        *reinterpret_cast<const float4*>(patch + 16 * s + q);
            }
            __syncwarp();
        }
}
