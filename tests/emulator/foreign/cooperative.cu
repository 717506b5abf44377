// Cooperative groups: partitions, reductions and scans, asynchronous copies, and the whole grid.

#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
#include <cuda/barrier>

namespace cg = cooperative_groups;

extern "C" __global__ void tile_reductions(const int* x, int* y)
{
    auto block = cg::this_thread_block();
    auto warp = cg::tiled_partition<32>(block);
    auto eight = cg::tiled_partition<8>(warp);
    int i = block.thread_rank(), value = x[i];
    y[6 * i] = cg::reduce(warp, value, cg::plus<int>());
    y[6 * i + 1] = cg::reduce(eight, value, cg::less<int>());
    y[6 * i + 2] = cg::reduce(eight, value, cg::bit_xor<int>());
    y[6 * i + 3] = cg::inclusive_scan(warp, value);
    y[6 * i + 4] = cg::exclusive_scan(eight, value, cg::plus<int>());
    y[6 * i + 5] = eight.shfl(value, 3) + warp.shfl_down(value, 1) * (warp.thread_rank() < 31);
}

extern "C" __global__ void double_reductions(const double* x, double* y)
{
    auto tile = cg::tiled_partition<16>(cg::this_thread_block());
    double value = x[threadIdx.x];
    y[2 * threadIdx.x] = cg::reduce(tile, value, cg::plus<double>());
    y[2 * threadIdx.x + 1] = cg::inclusive_scan(tile, value, cg::greater<double>());
}

extern "C" __global__ void labels(const int* x, int* y)
{
    auto warp = cg::tiled_partition<32>(cg::this_thread_block());
    int value = x[threadIdx.x];
    auto alike = cg::labeled_partition(warp, value % 5);
    auto half = cg::binary_partition(warp, value > 50);
    y[4 * threadIdx.x] = cg::reduce(alike, value, cg::plus<int>());
    y[4 * threadIdx.x + 1] = alike.size();
    y[4 * threadIdx.x + 2] = cg::reduce(half, value, cg::greater<int>());
    y[4 * threadIdx.x + 3] = half.thread_rank();
}

extern "C" __global__ void kept_by_groups(const int* x, int* kept, int* count)
{
    int value = x[blockIdx.x * blockDim.x + threadIdx.x];
    if (value % 3 == 0) {
        auto active = cg::coalesced_threads();
        int start = 0;
        if (active.thread_rank() == 0)
            start = atomicAdd(count, active.size());
        kept[active.shfl(start, 0) + active.thread_rank()] = value;
    }
}

extern "C" __global__ void copy_of_group(const int* x, int* y)
{
    extern __shared__ int tile[];
    auto block = cg::this_thread_block();
    for (int at = 0; at < 512; at += 128) {
        cg::memcpy_async(block, tile, x + at, cuda::aligned_size_t<16>(128 * sizeof(int)));
        cg::wait(block);
        y[at + threadIdx.x] = tile[127 - threadIdx.x];
        block.sync();
    }
}

extern "C" __global__ void copy_in_stages(const float* x, float* y, int tiles)
{
    __shared__ alignas(16) float stages[2][32];
    auto tile = cg::tiled_partition<32>(cg::this_thread_block());
    cg::memcpy_async(tile, stages[0], x, 32 * sizeof(float));
    float sum = 0.0f;
    for (int i = 0; i < tiles; i++) {
        if (i + 1 < tiles) {
            cg::memcpy_async(tile, stages[(i + 1) % 2], x + 32 * (i + 1), 32 * sizeof(float));
            cg::wait_prior<1>(tile);
        } else {
            cg::wait(tile);
        }
        sum += stages[i % 2][31 - tile.thread_rank()];
        tile.sync();
    }
    y[threadIdx.x] = sum;
}

extern "C" __global__ void wide_tiles(const int* x, int* y)
{
    __shared__ cg::block_tile_memory<256> memory;
    auto block = cg::this_thread_block(memory);
    auto tile = cg::tiled_partition<64>(block);
    int value = x[threadIdx.x];
    y[2 * threadIdx.x] = cg::reduce(tile, value, cg::plus<int>());
    y[2 * threadIdx.x + 1] = tile.any(value > 990) + 2 * tile.meta_group_rank();
}

extern "C" __global__ void grid_steps(int* x, int* y, int n)
{
    // Steps of a scan over the grid, from one array to the other.
    auto grid = cg::this_grid();
    int i = grid.thread_rank();
    for (int step = 1; step < n; step *= 2) {
        y[i] = x[i] + (i >= step ? x[i - step] : 0);
        grid.sync();
        x[i] = y[i];
        grid.sync();
    }
}
