// A kernel that prints what it does.
#include <cstdio>

__global__ void halve(int* data, int n)
{
    const int i = threadIdx.x + blockIdx.x * blockDim.x;
    if (i >= n)
        return;
    if (data[i] % 2 != 0)
        printf("thread %d: %d is odd\n", i, data[i]);
    data[i] /= 2;
}

int main()
{
    int* data;
    cudaMallocManaged(&data, 64 * sizeof(int));
    for (int i = 0; i < 64; ++i)
        data[i] = 2 * i;
    halve<<<1, 64>>>(data, 64);
    cudaDeviceSynchronize();
    fflush(stdout);
    return 0;
}
