// A kernel that uses a header of its own, which also has host functions.
#include "include/vector_math.cuh"

#include <vector>

__global__ void blend(const float4* a, const float4* b, float4* out, float* dots, float t, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    out[i] = (1.0f - t) * a[i] + t * b[i];
    dots[i] = dot(a[i], b[i]);
}

void run(const std::vector<float4>& a, const std::vector<float4>& b)
{
    float4 *x, *y;
    check(cudaMalloc(&x, a.size() * sizeof(float4)), "first");
    check(cudaMalloc(&y, b.size() * sizeof(float4)), "second");
    blend<<<blocks_for(a.size(), 64), 64>>>(x, y, x, reinterpret_cast<float*>(y), 0.5f, a.size());
}
