/* Blelloch's exclusive scan of one block, and the addition of each block's offset: C style, two kernels. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>

#define N 64

typedef struct {
    uint32_t *data;
    uint32_t *sums;
    size_t size;
} scan_state;

__global__ void scan_block(scan_state state)
{
    __shared__ uint32_t temp[2 * N];
    const unsigned t = threadIdx.x, base = blockIdx.x * 2 * N;
    unsigned offset = 1;
    temp[2 * t] = base + 2 * t < state.size ? state.data[base + 2 * t] : 0;
    temp[2 * t + 1] = base + 2 * t + 1 < state.size ? state.data[base + 2 * t + 1] : 0;
    for (unsigned d = N; d > 0; d >>= 1, offset <<= 1) {
        __syncthreads();
        if (t < d)
            temp[offset * (2 * t + 2) - 1] += temp[offset * (2 * t + 1) - 1];
    }
    if (t == 0) {
        state.sums[blockIdx.x] = temp[2 * N - 1];
        temp[2 * N - 1] = 0;
    }
    for (unsigned d = 1; d < 2 * N; d <<= 1) {
        offset >>= 1;
        __syncthreads();
        if (t < d) {
            const unsigned a = offset * (2 * t + 1) - 1, b = offset * (2 * t + 2) - 1;
            const uint32_t left = temp[a];
            temp[a] = temp[b];
            temp[b] += left;
        }
    }
    __syncthreads();
    if (base + 2 * t < state.size)
        state.data[base + 2 * t] = temp[2 * t];
    if (base + 2 * t + 1 < state.size)
        state.data[base + 2 * t + 1] = temp[2 * t + 1];
}

__global__ void add_offsets(uint32_t *data, const uint32_t *offsets, size_t size)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size)
        data[i] += offsets[i / (2 * N)];
}

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(cudaGetLastError()));
    abort();
}

#define TRY(expression) ((expression) == cudaSuccess ? (void)0 : fail(#expression))

int main(void)
{
    scan_state state;
    state.size = 1000;
    TRY(cudaMalloc((void **)&state.data, state.size * sizeof(uint32_t)));
    TRY(cudaMalloc((void **)&state.sums, 8 * sizeof(uint32_t)));
    scan_block<<<8, N>>>(state);
    TRY(cudaDeviceSynchronize());
    return 0;
}
