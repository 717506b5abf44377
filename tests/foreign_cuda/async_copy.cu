// A tile copied asynchronously into shared memory, with libcu++'s barrier.
#include <cuda/barrier>
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cstddef>
#include <iostream>

constexpr std::size_t TILE = 256;

__global__ void add_tile(const float* in, float* out)
{
    namespace cg = cooperative_groups;
    __shared__ float tile[TILE];
    auto block = cg::this_thread_block();
    cg::memcpy_async(block, tile, in + blockIdx.x * TILE, sizeof(float) * TILE);
    cg::wait(block);
    out[blockIdx.x * TILE + threadIdx.x] = tile[threadIdx.x] + tile[(threadIdx.x + 1) % TILE];
}

int main() { std::cout << TILE << std::endl; }
