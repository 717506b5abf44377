// y = a x + y in half precision, two numbers at a time, and a conversion to bfloat16.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cstdint>
#include <iostream>

__global__ void haxpy(__half a, const __half2* x, __half2* y, int pairs)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < pairs)
        y[i] = __hfma2(__half2half2(a), x[i], y[i]);
}

__global__ void to_bf16(const float* in, __nv_bfloat16* out, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        out[i] = __float2bfloat16(in[i]);
}

int main()
{
    std::cout << sizeof(__half) << std::endl;
}
