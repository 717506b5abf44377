// add256: sum = a + b for n integers of 256 bits, eight 32-bit words each, the lowest first. One integer a thread.
// A program of its own: nvcc add256.cu && ./a.out. ptxbench takes the kernel out of it as it is.

#include <cstdint>
#include <cstdio>
#include <vector>

#include <cuda_runtime.h>

__global__ void add256(const uint32_t* a, const uint32_t* b, uint32_t* sum, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    uint64_t carry = 0;
    for (int word = 0; word < 8; word++) {
        carry += (uint64_t)a[8 * i + word] + b[8 * i + word];
        sum[8 * i + word] = (uint32_t)carry;
        carry >>= 32;
    }
}

int main()
{
    const int n = 1000;
    std::vector<uint32_t> ones(8 * n, 0xFFFFFFFF), sums(8 * n);
    uint32_t *a, *sum;
    cudaMalloc(&a, 32 * n);
    cudaMalloc(&sum, 32 * n);
    cudaMemcpy(a, ones.data(), 32 * n, cudaMemcpyHostToDevice);
    add256<<<(n + 255) / 256, 256>>>(a, a, sum, n);
    cudaMemcpy(sums.data(), sum, 32 * n, cudaMemcpyDeviceToHost);
    std::printf("lowest word: %08x\n", (unsigned)sums[0]);
}
