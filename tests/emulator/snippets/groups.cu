// Cooperative groups, asynchronous copies, printf.

#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
#include <cuda_pipeline.h>

namespace cg = cooperative_groups;
#define OUT extern "C" __global__ void

template <typename Group>
__device__ int sum_of(Group group, int v)
{
    for (int offset = group.size() / 2; offset; offset /= 2)
        v += group.shfl_down(v, offset);
    return group.shfl(v, 0);
}

OUT tiles(const int* x, int* out)
{
    const auto block = cg::this_thread_block();
    const auto warp = cg::tiled_partition<32>(block);
    const auto tile = cg::tiled_partition<8>(warp);
    const auto four = cg::tiled_partition<4>(tile);
    const int i = block.thread_rank(), n = block.size(), v = x[i];
    out[i] = sum_of(warp, v);
    out[n + i] = sum_of(tile, v);
    out[2 * n + i] = sum_of(four, v) * 100 + four.meta_group_rank() * 10 + four.thread_rank();
    out[3 * n + i] = tile.ballot(v & 1);
    out[4 * n + i] = tile.any(v > 90) * 2 + tile.all(v >= 0);
    out[5 * n + i] = four.shfl_xor(v, 1) + tile.shfl_up(v, 1);
    tile.sync();
    out[6 * n + i] = tile.match_any(v & 3);
}

OUT group_reductions(const int* x, int* out)
{
    const auto block = cg::this_thread_block();
    const auto tile = cg::tiled_partition<16>(block);
    const int i = block.thread_rank(), n = block.size(), v = x[i];
    out[i] = cg::reduce(tile, v, cg::plus<int>());
    out[n + i] = cg::reduce(tile, v, cg::greater<int>());
    out[2 * n + i] = cg::inclusive_scan(tile, v);
    out[3 * n + i] = cg::exclusive_scan(tile, v, cg::plus<int>());
}

OUT coalesced(const int* x, int* counter, int* kept)        // one atomic a warp
{
    const int v = x[blockIdx.x * blockDim.x + threadIdx.x];
    if (v % 5 == 0) {
        const auto active = cg::coalesced_threads();
        int first = 0;
        if (active.thread_rank() == 0)
            first = atomicAdd(counter, active.size());
        kept[active.shfl(first, 0) + active.thread_rank()] = v;
    }
}

OUT partitions(const int* x, int* out)
{
    const auto warp = cg::tiled_partition<32>(cg::this_thread_block());
    const int i = threadIdx.x, n = blockDim.x, v = x[i];
    const auto odd = cg::binary_partition(warp, v & 1);
    out[i] = odd.size() * 100 + odd.thread_rank();
    const auto same = cg::labeled_partition(warp, v % 3);
    out[n + i] = cg::reduce(same, v, cg::plus<int>());
}

OUT pipelined(const float4* x, float4* y)                   // two stages in shared memory
{
    __shared__ float4 stage[2][64];
    const int t = threadIdx.x, n = 64;
    __pipeline_memcpy_async(&stage[0][t], &x[t], sizeof(float4));
    __pipeline_commit();
    for (int k = 0; k < 4; ++k) {
        if (k < 3)
            __pipeline_memcpy_async(&stage[(k + 1) & 1][t], &x[(k + 1) * n + t], sizeof(float4));
        __pipeline_commit();
        __pipeline_wait_prior(1);
        __syncthreads();
        const float4 v = stage[k & 1][n - 1 - t];
        y[k * n + t] = make_float4(v.w, v.z, v.y, v.x);
        __syncthreads();
    }
}

OUT ragged_copy(const float* x, float* y, int n)            // the rest of 16 bytes is zeros
{
    __shared__ alignas(16) float stage[128];
    const int t = threadIdx.x;
    const int left = max(0, min(16, 4 * (n - 4 * t)));
    __pipeline_memcpy_async(&stage[4 * t], &x[left ? 4 * t : 0], 16, 16 - left);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    for (int k = 0; k < 4; ++k)
        y[32 * k + t] = stage[32 * k + t];
}

OUT group_copy(const int* x, int* y)
{
    __shared__ alignas(16) int tile[128];
    const auto block = cg::this_thread_block();
    cg::memcpy_async(block, tile, x + 128 * blockIdx.x, sizeof(tile));
    cg::wait(block);
    for (int i = block.thread_rank(); i < 128; i += block.size())
        y[128 * blockIdx.x + i] = tile[127 - i] + 1;
}

OUT printing(const int* x, const double* y)
{
    if (threadIdx.x < 3)
        printf("thread %d: %5d|%-6u|%#x %s %c %%\n", threadIdx.x, x[threadIdx.x], 7u, 255, "text", 'c');
    __syncthreads();
    if (threadIdx.x == 40)
        printf("%.3f %e %g %lld %s\n", y[0], y[1], 0.1f * 3, 1LL << 40, "end");
}
