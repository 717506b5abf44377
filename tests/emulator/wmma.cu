// Every fragment that mma.h has, loaded from each memory, multiplied and stored: kernels for test_wmma.py.
// NAME(a, b, c, d, lda, ldb, ldc): D = A B + C with one warp; leading dimensions in elements.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

using namespace nvcuda;

template <typename A, typename ALayout, typename B, typename BLayout, typename C, typename T, typename R>
__device__ void product(const T* a, const T* b, const R* c, R* d, unsigned lda, unsigned ldb, unsigned ldc,
                        wmma::layout_t layout)
{
    A fa;
    B fb;
    C fc;
    wmma::load_matrix_sync(fa, a, lda);
    wmma::load_matrix_sync(fb, b, ldb);
    wmma::load_matrix_sync(fc, c, ldc, layout);
    wmma::mma_sync(fc, fa, fb, fc);
    wmma::store_matrix_sync(d, fc, ldc, layout);
}

// Global memory, known to be so.
#define KERNEL(NAME, M, N, K, T, AL, BL, R, CL, STORED, RESULT)                                                      \
    extern "C" __global__ void NAME(const STORED* a, const STORED* b, const RESULT* c, RESULT* d, unsigned lda,      \
                                    unsigned ldb, unsigned ldc)                                                      \
    {                                                                                                                \
        using A = wmma::fragment<wmma::matrix_a, M, N, K, T, wmma::AL>;                                              \
        using B = wmma::fragment<wmma::matrix_b, M, N, K, T, wmma::BL>;                                              \
        using C = wmma::fragment<wmma::accumulator, M, N, K, R>;                                                     \
        product<A, wmma::AL, B, wmma::BL, C>(a, b, c, d, lda, ldb, ldc, wmma::CL);                                   \
    }

#define LAYOUTS(NAME, M, N, K, T, R, STORED, RESULT)                                                                 \
    KERNEL(NAME##_row_row_row, M, N, K, T, row_major, row_major, R, mem_row_major, STORED, RESULT)                   \
    KERNEL(NAME##_row_col_col, M, N, K, T, row_major, col_major, R, mem_col_major, STORED, RESULT)                   \
    KERNEL(NAME##_col_row_row, M, N, K, T, col_major, row_major, R, mem_row_major, STORED, RESULT)                   \
    KERNEL(NAME##_col_col_col, M, N, K, T, col_major, col_major, R, mem_col_major, STORED, RESULT)

#define SHAPES(NAME, T, R, STORED, RESULT)                                                                           \
    LAYOUTS(NAME##_16_16_16, 16, 16, 16, T, R, STORED, RESULT)                                                       \
    LAYOUTS(NAME##_32_8_16, 32, 8, 16, T, R, STORED, RESULT)                                                         \
    LAYOUTS(NAME##_8_32_16, 8, 32, 16, T, R, STORED, RESULT)

SHAPES(f16_f32, __half, float, __half, float)
SHAPES(f16_f16, __half, __half, __half, __half)
SHAPES(s8_s32, signed char, int, signed char, int)
SHAPES(u8_s32, unsigned char, int, unsigned char, int)
#if __CUDA_ARCH__ >= 800
SHAPES(bf16_f32, __nv_bfloat16, float, __nv_bfloat16, float)
LAYOUTS(tf32_f32_16_16_8, 16, 16, 8, wmma::precision::tf32, float, float, float)
LAYOUTS(f64_f64_8_8_4, 8, 8, 4, double, double, double, double)
#endif

using wmma::experimental::precision::b1;
using wmma::experimental::precision::s4;
using wmma::experimental::precision::u4;
KERNEL(s4_s32_8_8_32_row_col_row, 8, 8, 32, s4, row_major, col_major, int, mem_row_major, void, int)
KERNEL(u4_s32_8_8_32_row_col_col, 8, 8, 32, u4, row_major, col_major, int, mem_col_major, void, int)

extern "C" __global__ void b1_s32_8_8_128_row_col_row(const void* a, const void* b, const int* c, int* d, unsigned lda,
                                                      unsigned ldb, unsigned ldc)
{
    wmma::fragment<wmma::matrix_a, 8, 8, 128, b1, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 8, 8, 128, b1, wmma::col_major> fb;
    wmma::fragment<wmma::accumulator, 8, 8, 128, int> fc;
    wmma::load_matrix_sync(fa, a, lda);
    wmma::load_matrix_sync(fb, b, ldb);
    wmma::load_matrix_sync(fc, c, ldc, wmma::mem_row_major);
    wmma::bmma_sync(fc, fa, fb, fc);
    wmma::store_matrix_sync(d, fc, ldc, wmma::mem_row_major);
}

// Through shared memory, by addresses whose space the compiler cannot know; every addend tripled on the way.
extern "C" __global__ void generic(const __half* a, const __half* b, const float* c, float* d, int from_shared)
{
    __shared__ __align__(32) __half tile[2 * 256];
    for (int i = threadIdx.x; i < 256; i += 32) {
        tile[i] = a[i];
        tile[256 + i] = b[i];
    }
    __syncthreads();
    wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::row_major> fb;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> fc;
    wmma::load_matrix_sync(fa, from_shared ? tile : a, 16);
    wmma::load_matrix_sync(fb, from_shared ? tile + 256 : b, 16);
    wmma::load_matrix_sync(fc, c, 16, wmma::mem_row_major);
    for (int i = 0; i < fc.num_elements; i++)
        fc.x[i] *= 3.0f;
    wmma::mma_sync(fc, fa, fb, fc);
    wmma::store_matrix_sync(d, fc, 16, wmma::mem_row_major);
}

// D of f32 from C of f16, and the other way.
template <typename R, typename C>
__device__ void mixed(const __half* a, const __half* b, const C* c, R* d)
{
    wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::row_major> fb;
    wmma::fragment<wmma::accumulator, 16, 16, 16, C> fc;
    wmma::fragment<wmma::accumulator, 16, 16, 16, R> fd;
    wmma::load_matrix_sync(fa, a, 16);
    wmma::load_matrix_sync(fb, b, 16);
    wmma::load_matrix_sync(fc, c, 16, wmma::mem_row_major);
    wmma::mma_sync(fd, fa, fb, fc);
    wmma::store_matrix_sync(d, fd, 16, wmma::mem_row_major);
}

extern "C" __global__ void mixed_f32_f16(const __half* a, const __half* b, const __half* c, float* d)
{
    mixed(a, b, c, d);
}

extern "C" __global__ void mixed_f16_f32(const __half* a, const __half* b, const float* c, __half* d)
{
    mixed(a, b, c, d);
}

// C = A B, all n x n, row by row; n a multiple of 64. A CTA of four warps makes 64 x 64, each warp 32 x 32.
extern "C" __global__ void __launch_bounds__(128)
wmma_gemm(const __half* a, const __half* b, float* c, unsigned n)
{
    __shared__ __align__(32) __half as[64][16 + 8];
    __shared__ __align__(32) __half bs[16][64 + 8];
    const unsigned warp = threadIdx.x / 32, row = 64 * blockIdx.y, column = 64 * blockIdx.x;
    const unsigned top = 32 * (warp / 2), left = 32 * (warp % 2);
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum[2][2];
    for (auto& line : sum)
        for (auto& each : line)
            wmma::fill_fragment(each, 0.0f);
    for (unsigned k = 0; k < n; k += 16) {
        for (unsigned i = threadIdx.x; i < 64 * 16; i += 128) {
            as[i / 16][i % 16] = a[(row + i / 16) * n + k + i % 16];
            bs[i / 64][i % 64] = b[(k + i / 64) * n + column + i % 64];
        }
        __syncthreads();
        wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> fa[2];
        wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::row_major> fb[2];
        for (int i = 0; i < 2; i++) {
            wmma::load_matrix_sync(fa[i], &as[top + 16 * i][0], 16 + 8);
            wmma::load_matrix_sync(fb[i], &bs[0][left + 16 * i], 64 + 8);
        }
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++)
                wmma::mma_sync(sum[i][j], fa[i], fb[j], sum[i][j]);
        __syncthreads();
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            wmma::store_matrix_sync(&c[(row + top + 16 * i) * n + column + left + 16 * j], sum[i][j], n,
                                    wmma::mem_row_major);
}
