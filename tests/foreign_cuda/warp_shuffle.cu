// Sums of rows by warp shuffles: one warp for each row.
#include <cooperative_groups.h>
#include <cuda_runtime.h>
#include <device_launch_parameters.h>
#include <algorithm>
#include <chrono>
#include <numeric>
#include <string>

namespace cg = cooperative_groups;

template <int Width>
__device__ float tile_sum(cg::thread_block_tile<Width> tile, float value)
{
    for (int offset = tile.size() / 2; offset > 0; offset /= 2)
        value += tile.shfl_down(value, offset);
    return value;
}

__global__ void row_sums(const float* __restrict__ matrix, float* __restrict__ sums, int rows, int columns)
{
    auto block = cg::this_thread_block();
    auto warp = cg::tiled_partition<32>(block);
    const int row = blockIdx.x * warp.meta_group_size() + warp.meta_group_rank();
    if (row >= rows)
        return;
    float sum = 0.0f;
    for (int column = warp.thread_rank(); column < columns; column += warp.size())
        sum += matrix[row * columns + column];
    sum = tile_sum<32>(warp, sum);
    if (warp.thread_rank() == 0)
        sums[row] = sum;
}

__global__ void row_sums_raw(const float* matrix, float* sums, int rows, int columns)
{
    const unsigned full = 0xffffffffu;
    const int lane = threadIdx.x & 31, row = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    if (row >= rows)
        return;
    float sum = 0.0f;
    for (int column = lane; column < columns; column += 32)
        sum += matrix[row * columns + column];
    for (int mask = 16; mask; mask >>= 1)
        sum += __shfl_xor_sync(full, sum, mask);
    if (lane == 0)
        sums[row] = sum;
}

class Stopwatch {
public:
    Stopwatch() : start_(std::chrono::steady_clock::now()) {}
    double seconds() const
    {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

private:
    std::chrono::steady_clock::time_point start_;
};

std::string describe(int rows, int columns)
{
    return std::to_string(rows) + " x " + std::to_string(columns);
}
