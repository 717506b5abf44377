// A histogram with atomics in shared memory; old architectures get another way.
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 600
#error "Compute capability 6.0 or later is needed"
#endif

using bin_t = unsigned long long;
enum { BINS = 64 };

__device__ inline void count(bin_t* bins, std::uint8_t value)
{
    atomicAdd(&bins[value % BINS], bin_t{1});
}

__global__ void histogram(const std::uint8_t* __restrict__ data, std::size_t size, bin_t* bins)
{
    __shared__ bin_t own[BINS];
    for (int bin = threadIdx.x; bin < BINS; bin += blockDim.x)
        own[bin] = 0;
    __syncthreads();
    for (std::size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += std::size_t(gridDim.x) * blockDim.x)
        count(own, data[i]);
    __syncthreads();
    for (int bin = threadIdx.x; bin < BINS; bin += blockDim.x)
        atomicAdd(&bins[bin], own[bin]);
}

static std::map<std::string, int> counts_by_name;

int main(int argc, char* argv[])
{
    std::ifstream file(argc > 1 ? argv[1] : "/etc/hostname", std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    ++counts_by_name[text];
    std::cerr << R"(bytes: ")" << text.size() << R"(")" << '\n';
    return counts_by_name.empty();
}
