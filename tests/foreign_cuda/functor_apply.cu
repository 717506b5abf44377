// A kernel for any function object, and device lambdas in a kernel and on the host's side.
#include <functional>
#include <iostream>
#include <utility>
#include <vector>

template <typename F, typename... Args>
__global__ void apply(F f, float* out, int n, Args... args)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x)
        out[i] = f(out[i], args...);
}

struct Axpb {
    float a;
    __device__ float operator()(float x, float b) const { return a * x + b; }
};

template __global__ void apply<Axpb, float>(Axpb, float*, int, float);

__global__ void with_lambda(float* data, float scale, int n)
{
    const auto squared = [=](float x) { return scale * x * x; };
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        data[i] = squared(data[i]);
}

void launch_all(std::vector<float>& values)
{
    float* data;
    cudaMalloc(&data, values.size() * sizeof(float));
    apply<<<1, 32>>>([] __device__(float x) { return x + 1.0f; }, data, int(values.size()));
    std::function<void()> later = [=] { apply<<<1, 32>>>(Axpb{2.0f}, data, 32, 1.0f); };
    later();
}

int main()
{
    std::vector<float> values(32);
    launch_all(values);
    std::cout << values.front() << "\n";
}
