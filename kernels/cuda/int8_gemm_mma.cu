// int8_gemm_mma: d = (a bT) a_scale b_scale, a m x k and b n x k of s8, d of f32, by wmma in tiles of 128 x 128 x 64
// per CTA, 64 x 64 per warp. Paired with ../ptx/int8_gemm_mma.ptx; shapes and launch are in ../pairs/int8_gemm_mma.py.
// k is a multiple of 16, n of 4.

#include <cuda_pipeline_primitives.h>
#include <mma.h>

using namespace nvcuda;

constexpr unsigned STAGES = 3, SLAB = 64;

// Both tiles have 128 rows of 64 bytes per stage. They are in 16 rows of shared memory: rows r, r + 16, r + 32 .. of
// all stages are next to each other. 16 unused bytes after each row shift the next row by 4 banks, so that a fragment
// and a copy find eight rows in different banks. A fragment begins at a multiple of 32 bytes, as wmma requires it.
constexpr unsigned ROW = 8 * STAGES * SLAB + 16;
extern __shared__ __align__(128) signed char tiles[];

extern "C" __global__ void __launch_bounds__(128, 2)
int8_gemm_mma(const signed char* __restrict__ a, const signed char* __restrict__ b, const float* __restrict__ a_scale,
              const float* __restrict__ b_scale, float* __restrict__ d, unsigned m, unsigned n, unsigned k)
{
    signed char* a_tile = tiles;
    signed char* b_tile = tiles + 16 * ROW;
    const unsigned thread = threadIdx.x;
    const unsigned warp = thread / 32, lane = thread % 32;
    const unsigned first_row = 128 * blockIdx.y, first_column = 128 * blockIdx.x;

    // The thread copies 16 bytes of rows copy_row + 32 i of both tiles. Eight lanes have eight rows, in eight different
    // places of 128 bytes, and a warp still copies whole sectors.
    const unsigned copy_row = thread % 8 + 8 * (thread / 32), copy_column = 16 * (thread / 8 % 4);
    const signed char* a_from = a + static_cast<size_t>(first_row + copy_row) * k + copy_column;
    const signed char* b_from = b + static_cast<size_t>(first_column + copy_row) * k + copy_column;
    const unsigned to = copy_row % 16 * ROW + copy_row / 16 * STAGES * SLAB + copy_column;

    // Starts to copy columns k0 to k0 + 63 of a and of b into a stage. Elements outside are zero.
    auto fetch = [&](unsigned stage, unsigned k0) {
        if (k0 < k) {
            const bool in_slab = k0 + copy_column < k;
            for (unsigned i = 0; i < 4; ++i) {
                const unsigned at = to + 2 * i * STAGES * SLAB + stage * SLAB;
                const bool a_there = in_slab && first_row + copy_row + 32 * i < m;
                const bool b_there = in_slab && first_column + copy_row + 32 * i < n;
                const size_t rows = 32 * static_cast<size_t>(k) * i;
                __pipeline_memcpy_async(a_tile + at, a_there ? a_from + rows : a, 16, a_there ? 0 : 16);
                __pipeline_memcpy_async(b_tile + at, b_there ? b_from + rows : b, 16, b_there ? 0 : 16);
            }
            a_from += SLAB;
            b_from += SLAB;
        }
        __pipeline_commit();            // after the last slab an empty group, so that all waits count the same
    };

    const unsigned y = 64 * (warp / 2), x = 64 * (warp % 2);    // of the warp in the tile
    wmma::fragment<wmma::accumulator, 16, 16, 16, int> sums[4][4];
    for (unsigned i = 0; i < 4; ++i)
        for (unsigned j = 0; j < 4; ++j)
            wmma::fill_fragment(sums[i][j], 0);

    for (unsigned stage = 0; stage < STAGES - 1; ++stage)
        fetch(stage, SLAB * stage);
    unsigned stage = 0;
    #pragma unroll 1
    for (unsigned k0 = 0; k0 < k; k0 += SLAB) {
        __pipeline_wait_prior(STAGES - 2);
        __syncthreads();                // all threads' pieces have arrived, and all have finished the previous stage
        fetch(stage == 0 ? STAGES - 1 : stage - 1, k0 + SLAB * (STAGES - 1));
        for (unsigned step = 0; step < SLAB / 16; ++step) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, signed char, wmma::row_major> a_part[4];
            wmma::fragment<wmma::matrix_b, 16, 16, 16, signed char, wmma::col_major> b_part[4];
            const unsigned at = stage * SLAB + 16 * step;
            for (unsigned i = 0; i < 4; ++i)
                wmma::load_matrix_sync(a_part[i], a_tile + (y / 16 + i) * STAGES * SLAB + at, ROW);
            for (unsigned j = 0; j < 4; ++j)
                wmma::load_matrix_sync(b_part[j], b_tile + (x / 16 + j) * STAGES * SLAB + at, ROW);
            for (unsigned i = 0; i < 4; ++i)
                for (unsigned j = 0; j < 4; ++j)
                    wmma::mma_sync(sums[i][j], a_part[i], b_part[j], sums[i][j]);
        }
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    }

    // A fragment does not say where its elements belong, but a sum needs the scales of its row and column. So the sums
    // go through shared memory, 16 x 16 at a time.
    __syncthreads();
    int* patch = reinterpret_cast<int*>(tiles) + 256 * warp;
    const unsigned r = lane / 4, q = 4 * (lane % 4);                    // four elements per lane: n is a multiple of 4
    #pragma unroll
    for (unsigned j = 0; j < 4; ++j) {
        const unsigned column = first_column + x + 16 * j + q;
        const float4 columns = column < n ? *reinterpret_cast<const float4*>(b_scale + column) : float4();
        #pragma unroll
        for (unsigned i = 0; i < 4; ++i) {
            wmma::store_matrix_sync(patch, sums[i][j], 16, wmma::mem_row_major);
            __syncwarp();
            for (unsigned s = r; s < 16; s += 8) {
                const unsigned row = first_row + y + 16 * i + s;
                if (row < m && column < n) {
                    const int4 sum = *reinterpret_cast<const int4*>(patch + 16 * s + q);
                    const float scale = a_scale[row];
                    *reinterpret_cast<float4*>(d + static_cast<size_t>(row) * n + column) =
                        make_float4(sum.x * (scale * columns.x), sum.y * (scale * columns.y),
                                    sum.z * (scale * columns.z), sum.w * (scale * columns.w));
                }
            }
            __syncwarp();
        }
    }
}
