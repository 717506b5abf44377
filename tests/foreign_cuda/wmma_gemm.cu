// C = A B with tensor cores: each warp makes one 16 x 16 tile of C.
#include <mma.h>
#include <cuda_fp16.h>
#include <stdexcept>
#include <memory>

using namespace nvcuda;

constexpr int M = 16, N = 16, K = 16;

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

__global__ void gemm(const half* a, const half* b, float* c, int n, int k)
{
    constexpr int tile = ceil_div(M * N, M);
    const int row = blockIdx.y * M, column = blockIdx.x * tile;
    wmma::fragment<wmma::matrix_a, M, N, K, half, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, M, N, K, half, wmma::row_major> fb;
    wmma::fragment<wmma::accumulator, M, N, K, float> fc;
    wmma::fill_fragment(fc, 0.0f);
    for (int at = 0; at < k; at += K) {
        wmma::load_matrix_sync(fa, a + row * k + at, k);
        wmma::load_matrix_sync(fb, b + at * n + column, n);
        wmma::mma_sync(fc, fa, fb, fc);
    }
    wmma::store_matrix_sync(c + row * n + column, fc, n, wmma::mem_row_major);
}

struct Deleter {
    void operator()(void* p) const { cudaFree(p); }
};

template <typename T>
std::unique_ptr<T, Deleter> allocate(size_t n)
{
    T* p = nullptr;
    if (cudaMalloc(&p, n * sizeof(T)) != cudaSuccess)
        throw std::runtime_error("out of memory");
    return std::unique_ptr<T, Deleter>(p);
}

int main()
{
    auto a = allocate<half>(32 * 32), b = allocate<half>(32 * 32);
    auto c = allocate<float>(32 * 32);
    gemm<<<dim3(2, 2), 32>>>(a.get(), b.get(), c.get(), 32, 32);
    return cudaDeviceSynchronize();
}
