// A matrix transposed through dynamic shared memory, with the helpers of NVIDIA's samples.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sys/time.h>
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <helper_cuda.h>
#include <helper_functions.h>

#ifndef TILE
#define TILE 16
#endif

extern "C" __global__ void transpose(const double *in, double *out, size_t width, size_t height)
{
    extern __shared__ double tile[];
    size_t x = blockIdx.x * TILE + threadIdx.x, y = blockIdx.y * TILE + threadIdx.y;
    if (x < width && y < height)
        tile[threadIdx.y * (TILE + 1) + threadIdx.x] = in[y * width + x];
    __syncthreads();
    x = blockIdx.y * TILE + threadIdx.x;
    y = blockIdx.x * TILE + threadIdx.y;
    if (x < height && y < width)
        out[y * height + x] = tile[threadIdx.x * (TILE + 1) + threadIdx.y];
}

static double now(void)
{
    struct timeval tv;
    gettimeofday(&tv, NULL);
    return tv.tv_sec + 1e-6 * tv.tv_usec;
}

int main(int argc, char **argv)
{
    int device = findCudaDevice(argc, (const char **)argv);
    cudaDeviceProp properties;
    checkCudaErrors(cudaGetDeviceProperties(&properties, device));
    double *in, *out;
    checkCudaErrors(cudaMalloc((void **)&in, 100 * 50 * sizeof(double)));
    checkCudaErrors(cudaMalloc((void **)&out, 100 * 50 * sizeof(double)));
    dim3 block(TILE, TILE), grid((100 + TILE - 1) / TILE, (50 + TILE - 1) / TILE);
    double start = now();
    transpose<<<grid, block, TILE * (TILE + 1) * sizeof(double)>>>(in, out, 100, 50);
    checkCudaErrors(cudaDeviceSynchronize());
    printf("%s: %.3f ms\n", properties.name, 1e3 * (now() - start));
    return EXIT_SUCCESS;
}
