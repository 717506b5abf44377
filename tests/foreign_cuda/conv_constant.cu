// A one-dimensional convolution whose coefficients are in constant memory.
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define RADIUS 2
#define TILE 64

__constant__ float coefficients[2 * RADIUS + 1] = {0.1f, 0.2f, 0.4f, 0.2f, 0.1f};
__device__ int halo_reads;

static const char* usage = "conv_constant [n]";
static int verbose = 0;

static __device__ __forceinline__ int clamp_index(int i, int n) { return min(max(i, 0), n - 1); }

__global__ void convolve(const float* in, float* out, int n)
{
    __shared__ float tile[TILE + 2 * RADIUS];
    const int i = blockIdx.x * TILE + threadIdx.x;
    assert(blockDim.x == TILE);
    tile[threadIdx.x + RADIUS] = in[clamp_index(i, n)];
    if (threadIdx.x < RADIUS) {
        tile[threadIdx.x] = in[clamp_index(i - RADIUS, n)];
        tile[threadIdx.x + TILE + RADIUS] = in[clamp_index(i + TILE, n)];
        atomicAdd(&halo_reads, 2);
    }
    __syncthreads();
    if (i < n) {
        float sum = 0;
        for (int k = -RADIUS; k <= RADIUS; k++)
            sum += coefficients[k + RADIUS] * tile[threadIdx.x + RADIUS + k];
        out[i] = sum;
    }
}

static void report(const char* what, float value)
{
    if (verbose)
        printf("%s: %g (%s)\n", what, value, usage);
}

int main(int argc, char** argv)
{
    verbose = argc > 1 && !strcmp(argv[1], "-v");
    float host[2 * RADIUS + 1] = {0.1f, 0.2f, 0.4f, 0.2f, 0.1f};
    cudaMemcpyToSymbol(coefficients, host, sizeof host);
    float *in, *out;
    cudaMallocManaged(&in, 1000 * sizeof(float));
    cudaMallocManaged(&out, 1000 * sizeof(float));
    for (int i = 0; i < 1000; i++)
        in[i] = sinf(i * M_PI / 50);
    convolve<<<(1000 + TILE - 1) / TILE, TILE>>>(in, out, 1000);
    cudaDeviceSynchronize();
    report("middle", out[500]);
    return 0;
}
