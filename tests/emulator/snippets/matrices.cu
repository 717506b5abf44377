// Tensor cores by mma.h: C = A * B + C of one tile a warp.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

using namespace nvcuda;
#define OUT extern "C" __global__ void

template <typename T, typename U>
constexpr bool is_same = false;
template <typename T>
constexpr bool is_same<T, T> = true;

template <typename T, typename A, int M, int N, int K, typename LayoutA, typename LayoutB, typename Memory>
__device__ void multiply(const Memory* a, int lda, const Memory* b, int ldb, A* c, int depth)
{
    wmma::fragment<wmma::matrix_a, M, N, K, T, LayoutA> left;
    wmma::fragment<wmma::matrix_b, M, N, K, T, LayoutB> right;
    wmma::fragment<wmma::accumulator, M, N, K, A> sum;
    wmma::load_matrix_sync(sum, c, N, wmma::mem_row_major);
    constexpr bool rows = is_same<LayoutA, wmma::row_major>, columns = is_same<LayoutB, wmma::col_major>;
    for (int k = 0; k < depth; k += K) {
        wmma::load_matrix_sync(left, a + (rows ? k : k * lda), lda);
        wmma::load_matrix_sync(right, b + (columns ? k : k * ldb), ldb);
        wmma::mma_sync(sum, left, right, sum);
    }
    wmma::store_matrix_sync(c, sum, N, wmma::mem_row_major);
}

OUT wmma_f16_f32(const __half* a, const __half* b, float* c)            // two steps of 16
{
    multiply<__half, float, 16, 16, 16, wmma::row_major, wmma::col_major>(a, 32, b, 32, c, 32);
}

OUT wmma_f16_f16(const __half* a, const __half* b, __half* c)
{
    multiply<__half, __half, 32, 8, 16, wmma::col_major, wmma::row_major>(a, 32, b, 8, c, 16);
}

OUT wmma_f16_wide(const __half* a, const __half* b, float* c)
{
    multiply<__half, float, 8, 32, 16, wmma::row_major, wmma::row_major>(a, 16, b, 32, c, 16);
}

OUT wmma_s8(const signed char* a, const signed char* b, int* c)
{
    multiply<signed char, int, 16, 16, 16, wmma::row_major, wmma::col_major>(a, 16, b, 16, c, 16);
}

OUT wmma_u8(const unsigned char* a, const unsigned char* b, int* c)
{
    multiply<unsigned char, int, 8, 32, 16, wmma::row_major, wmma::col_major>(a, 16, b, 16, c, 16);
}

OUT fragments(const __half* a, const __half* b, float* c, float scale)  // elements changed in place
{
    wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> left;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::row_major> right;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
    wmma::fill_fragment(sum, 1.0f);
    wmma::load_matrix_sync(left, a, 16);
    wmma::load_matrix_sync(right, b, 16);
    wmma::mma_sync(sum, left, right, sum);
    for (int k = 0; k < sum.num_elements; ++k)
        sum.x[k] = fmaxf(sum.x[k] * scale, 0.0f);
    wmma::store_matrix_sync(c, sum, 16, wmma::mem_col_major);
}

#if __CUDA_ARCH__ >= 800
OUT wmma_bf16(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c)
{
    multiply<__nv_bfloat16, float, 16, 16, 16, wmma::row_major, wmma::col_major>(a, 16, b, 16, c, 16);
}

OUT wmma_tf32(const float* a, const float* b, float* c)
{
    multiply<wmma::precision::tf32, float, 16, 16, 8, wmma::row_major, wmma::col_major>(a, 8, b, 8, c, 8);
}

OUT wmma_f64(const double* a, const double* b, double* c)
{
    multiply<double, double, 8, 8, 4, wmma::row_major, wmma::col_major>(a, 4, b, 4, c, 4);
}
#endif
