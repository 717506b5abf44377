// Matrix products on tensor cores, by mma.h.

#include <cuda_bf16.h>
#include <mma.h>

using namespace nvcuda;

// C = A B, a tile of 16 x 16 a warp; A by rows, B by columns.
template <typename In, typename Fragment, typename Out, int DEPTH>
__device__ void product(const In* a, const In* b, Out* c, int n)
{
    wmma::fragment<wmma::matrix_a, 16, 16, DEPTH, Fragment, wmma::row_major> left;
    wmma::fragment<wmma::matrix_b, 16, 16, DEPTH, Fragment, wmma::col_major> right;
    wmma::fragment<wmma::accumulator, 16, 16, DEPTH, Out> sum;
    wmma::fill_fragment(sum, Out(0));
    int row = 16 * blockIdx.y, column = 16 * (blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32);
    for (int k = 0; k < n; k += DEPTH) {
        wmma::load_matrix_sync(left, a + row * n + k, n);
        wmma::load_matrix_sync(right, b + column * n + k, n);
        wmma::mma_sync(sum, left, right, sum);
    }
    wmma::store_matrix_sync(c + row * n + column, sum, n, wmma::mem_row_major);
}

extern "C" __global__ void product_f16(const __half* a, const __half* b, float* c, int n)
{
    product<__half, __half, float, 16>(a, b, c, n);
}

extern "C" __global__ void product_s8(const signed char* a, const signed char* b, int* c, int n)
{
    product<signed char, signed char, int, 16>(a, b, c, n);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void product_bf16(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c, int n)
{
    product<__nv_bfloat16, __nv_bfloat16, float, 16>(a, b, c, n);
}

extern "C" __global__ void product_tf32(const float* a, const float* b, float* c, int n)
{
    product<float, wmma::precision::tf32, float, 8>(a, b, c, n);
}

extern "C" __global__ void product_f64(const double* a, const double* b, double* c, int n)
{
    wmma::fragment<wmma::matrix_a, 8, 8, 4, double, wmma::row_major> left;
    wmma::fragment<wmma::matrix_b, 8, 8, 4, double, wmma::row_major> right;
    wmma::fragment<wmma::accumulator, 8, 8, 4, double> sum;
    wmma::fill_fragment(sum, 0.0);
    for (int k = 0; k < n; k += 4) {
        wmma::load_matrix_sync(left, a + 8 * blockIdx.y * n + k, n);
        wmma::load_matrix_sync(right, b + k * n + 8 * blockIdx.x, n);
        wmma::mma_sync(sum, left, right, sum);
    }
    wmma::store_matrix_sync(c + 8 * blockIdx.y * n + 8 * blockIdx.x, sum, n, wmma::mem_row_major);
}
#endif

extern "C" __global__ void product_tiled(const __half* a, const __half* b, const float* bias, __half* c, int n)
{
    // relu(A B + bias), 32 x 32 a block of four warps, the tiles in shared memory.
    __shared__ __half a_tile[32][24], b_tile[16][40];
    __shared__ float c_tile[32][36];
    int warp = threadIdx.x / 32, row = 32 * blockIdx.y, column = 32 * blockIdx.x;
    wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> left;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::row_major> right;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
    wmma::fill_fragment(sum, 0.0f);
    for (int k = 0; k < n; k += 16) {
        for (int i = threadIdx.x; i < 512; i += blockDim.x) {
            a_tile[i / 16][i % 16] = a[(row + i / 16) * n + k + i % 16];
            b_tile[i / 32][i % 32] = b[(k + i / 32) * n + column + i % 32];
        }
        __syncthreads();
        wmma::load_matrix_sync(left, &a_tile[16 * (warp / 2)][0], 24);
        wmma::load_matrix_sync(right, &b_tile[0][16 * (warp % 2)], 40);
        wmma::mma_sync(sum, left, right, sum);
        __syncthreads();
    }
    for (int i = 0; i < sum.num_elements; i++)
        sum.x[i] *= 0.5f;
    wmma::store_matrix_sync(&c_tile[16 * (warp / 2)][16 * (warp % 2)], sum, 36, wmma::mem_row_major);
    __syncthreads();
    for (int i = threadIdx.x; i < 1024; i += blockDim.x) {
        float value = c_tile[i / 32][i % 32] + bias[column + i % 32];
        c[(row + i / 32) * n + column + i % 32] = __float2half(value > 0.0f ? value : 0.0f);
    }
}
