// saxpy with everything in one file: allocation, launch and check of the result.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cmath>
#include <vector>
#include <cuda_runtime.h>

#define CUDA_CHECK(call)                                                                    \
    do {                                                                                    \
        cudaError_t status_ = (call);                                                       \
        if (status_ != cudaSuccess) {                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, cudaGetErrorString(status_)); \
            exit(EXIT_FAILURE);                                                             \
        }                                                                                   \
    } while (0)

__global__ void saxpy(std::uint32_t n, float a, const float* __restrict__ x, float* __restrict__ y)
{
    const std::uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = a * x[i] + y[i];
}

int main(int argc, char** argv)
{
    const uint32_t n = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1u << 20;
    std::vector<float> x(n, 1.0f), y(n, 2.0f);
    float *d_x = nullptr, *d_y = nullptr;
    CUDA_CHECK(cudaMalloc(&d_x, n * sizeof(float)));
    CUDA_CHECK(cudaMalloc(&d_y, n * sizeof(float)));
    CUDA_CHECK(cudaMemcpy(d_x, x.data(), n * sizeof(float), cudaMemcpyHostToDevice));
    CUDA_CHECK(cudaMemcpy(d_y, y.data(), n * sizeof(float), cudaMemcpyHostToDevice));
    saxpy<<<(n + 255) / 256, 256>>>(n, 3.0f, d_x, d_y);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaMemcpy(y.data(), d_y, n * sizeof(float), cudaMemcpyDeviceToHost));
    float worst = 0.0f;
    for (float each : y)
        worst = std::fmax(worst, std::fabs(each - 5.0f));
    std::printf("max error: %f\n", worst);
    cudaFree(d_x);
    cudaFree(d_y);
    return worst == 0.0f ? EXIT_SUCCESS : EXIT_FAILURE;
}
