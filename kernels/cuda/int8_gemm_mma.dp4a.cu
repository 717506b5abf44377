// int8_gemm_mma.dp4a: d = (a bT) a_scale b_scale by __dp4a, four products of bytes and their sum in one instruction of
// a thread, as before tensor cores. Kept to show what tensor cores gain. By request.
// Paired with ../ptx/int8_gemm_mma.dp4a.ptx. Tiles of 128 x 128 x 64 per CTA; a thread computes 8 x 16 elements, rows y
// + 16 i and columns x + 8 j. Pieces of 16 bytes are swizzled by an xor with their row, so that no bank is used twice.

#include <cuda_pipeline_primitives.h>

constexpr unsigned STAGES = 3, SLAB = 64, TILE_BYTES = 128 * SLAB;
extern __shared__ __align__(128) signed char tiles[];       // a stage: 128 rows of 64 bytes of a, and of b

extern "C" __global__ void __launch_bounds__(128, 2)
int8_gemm_mma(const signed char* __restrict__ a, const signed char* __restrict__ b, const float* __restrict__ a_scale,
              const float* __restrict__ b_scale, float* __restrict__ d, unsigned m, unsigned n, unsigned k)
{
    const unsigned thread = threadIdx.x;
    const unsigned first_row = 128 * blockIdx.y, first_column = 128 * blockIdx.x;
    const unsigned copy_row = thread / 4, copy_column = 16 * (thread % 4);
    const signed char* a_from = a + static_cast<size_t>(first_row + copy_row) * k + copy_column;
    const signed char* b_from = b + static_cast<size_t>(first_column + copy_row) * k + copy_column;
    const unsigned to = copy_row * SLAB + 16 * (thread % 4 ^ copy_row / 2 % 4);

    // Starts to copy columns k0 to k0 + 63 of a and of b into a stage. Elements outside are zero.
    auto fetch = [&](unsigned stage, unsigned k0) {
        if (k0 < k) {
            const bool in_slab = k0 + copy_column < k;
            for (unsigned i = 0; i < 4; ++i) {
                signed char* at = tiles + 2 * TILE_BYTES * stage + to + 32 * SLAB * i;
                const bool a_there = in_slab && first_row + copy_row + 32 * i < m;
                const bool b_there = in_slab && first_column + copy_row + 32 * i < n;
                const size_t rows = 32 * static_cast<size_t>(k) * i;
                __pipeline_memcpy_async(at, a_there ? a_from + rows : a, 16, a_there ? 0 : 16);
                __pipeline_memcpy_async(at + TILE_BYTES, b_there ? b_from + rows : b, 16, b_there ? 0 : 16);
            }
            a_from += SLAB;
            b_from += SLAB;
        }
        __pipeline_commit();            // after the last slab an empty group, so that all waits count the same
    };

    const unsigned y = thread / 8, x = thread % 8;
    int sums[8][16] = {};

    for (unsigned stage = 0; stage < STAGES - 1; ++stage)
        fetch(stage, SLAB * stage);
    unsigned stage = 0;
    #pragma unroll 1
    for (unsigned k0 = 0; k0 < k; k0 += SLAB) {
        __pipeline_wait_prior(STAGES - 2);
        __syncthreads();                // all threads' pieces have arrived, and all have finished the previous stage
        fetch(stage == 0 ? STAGES - 1 : stage - 1, k0 + SLAB * (STAGES - 1));
        const signed char* slab = tiles + 2 * TILE_BYTES * stage;
        #pragma unroll 1
        for (unsigned word = 0; word < SLAB; word += 4) {
            const signed char* a_word = slab + SLAB * y + (word ^ 16 * (y / 2 % 4));
            const signed char* b_word = slab + TILE_BYTES + SLAB * x + (word ^ 16 * (x / 2 % 4));
            int a_part[8], b_part[16];
            for (unsigned i = 0; i < 8; ++i)
                a_part[i] = *reinterpret_cast<const int*>(a_word + 16 * SLAB * i);
            for (unsigned j = 0; j < 16; ++j)
                b_part[j] = *reinterpret_cast<const int*>(b_word + 8 * SLAB * j);
            for (unsigned i = 0; i < 8; ++i)
                for (unsigned j = 0; j < 16; ++j)
                    sums[i][j] = __dp4a(a_part[i], b_part[j], sums[i][j]);
        }
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    }

    const unsigned column = first_column + x;
    float columns[16];
    for (unsigned j = 0; j < 16; ++j)
        columns[j] = column + 8 * j < n ? b_scale[column + 8 * j] : 0.0f;
    for (unsigned i = 0; i < 8; ++i) {
        const unsigned row = first_row + y + 16 * i;
        if (row >= m)
            break;
        const float scale = a_scale[row];
        for (unsigned j = 0; j < 16; ++j)
            if (column + 8 * j < n)
                d[static_cast<size_t>(row) * n + column + 8 * j] = sums[i][j] * (scale * columns[j]);
    }
}
