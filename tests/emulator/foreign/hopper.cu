// Clusters by cooperative groups, and the instructions of Hopper by the functions of cuda::ptx.

#pragma nv_diag_suppress static_var_with_dynamic_init

#include <cuda.h>
#include <cuda/ptx>
#include <cooperative_groups.h>

namespace cg = cooperative_groups;
namespace ptx = cuda::ptx;

// The histogram of the CUDA programming guide: each CTA of a cluster has a part of the bins in shared memory.
extern "C" __global__ void __cluster_dims__(2) cluster_histogram(const int* x, int* bins, int n)
{
    __shared__ int part[16];
    cg::cluster_group cluster = cg::this_cluster();
    for (int i = threadIdx.x; i < 16; i += blockDim.x)
        part[i] = 0;
    cluster.sync();
    for (int i = cluster.thread_rank(); i < n; i += cluster.num_threads()) {
        int* there = cluster.map_shared_rank(part, x[i] / 16);
        atomicAdd(there + x[i] % 16, 1);
    }
    cluster.sync();  // no CTA exits while another adds to its part
    for (int i = threadIdx.x; i < 16; i += blockDim.x)
        atomicAdd(bins + 16 * cluster.block_rank() + i, part[i]);
}

// A sum of each CTA goes to all CTAs of the cluster.
extern "C" __global__ void __cluster_dims__(4) cluster_sums(const int* x, int* y)
{
    __shared__ alignas(8) unsigned long long arrived;
    __shared__ alignas(16) int sums[4];
    __shared__ int total;
    cg::cluster_group cluster = cg::this_cluster();
    const unsigned rank = cluster.block_rank();
    if (threadIdx.x == 0) {
        total = 0;
        ptx::mbarrier_init(&arrived, 1);
        ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
        ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, &arrived, sizeof(sums));
    }
    __syncthreads();
    atomicAdd(&total, x[blockIdx.x * blockDim.x + threadIdx.x]);
    cluster.sync();
    if (threadIdx.x < 4)
        ptx::st_async(cluster.map_shared_rank(sums + rank, threadIdx.x), total,
                      cluster.map_shared_rank(&arrived, threadIdx.x));
    while (!ptx::mbarrier_try_wait_parity(ptx::sem_acquire, ptx::scope_cluster, &arrived, 0))
        ;
    y[blockIdx.x * blockDim.x + threadIdx.x] = sums[0] + 10 * sums[1] + 100 * sums[2] + 1000 * sums[3];
}

// One copy for both CTAs of a cluster.
extern "C" __global__ void __cluster_dims__(2) multicast(const int* x, int* y)
{
    __shared__ alignas(16) int tile[128];
    __shared__ alignas(8) unsigned long long filled;
    cg::cluster_group cluster = cg::this_cluster();
    if (threadIdx.x == 0) {
        ptx::mbarrier_init(&filled, 1);
        ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
        ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, &filled, sizeof(tile));
    }
    cluster.sync();
    if (cluster.block_rank() == 0 && threadIdx.x == 0)
        ptx::cp_async_bulk(ptx::space_cluster, ptx::space_global, tile, x + 128 * (blockIdx.x / 2), sizeof(tile), &filled,
                           static_cast<unsigned short>(3));
    while (!ptx::mbarrier_try_wait_parity(&filled, 0))
        ;
    y[128 * blockIdx.x + threadIdx.x] = tile[threadIdx.x] + 1000 * cluster.block_rank();
    cluster.sync();
}

// Tiles of a matrix by tensor maps: transposed in shared memory, and added to another matrix.
extern "C" __global__ void add_transposed(const __grid_constant__ CUtensorMap map_x,
                                          const __grid_constant__ CUtensorMap map_y)
{
    __shared__ alignas(128) int tile[32][32];
    __shared__ alignas(128) int turned[32][32];
    __shared__ alignas(8) unsigned long long filled;
    const int column = 32 * blockIdx.x, row = 32 * blockIdx.y;
    if (threadIdx.x == 0) {
        ptx::mbarrier_init(&filled, 1);
        ptx::fence_proxy_async(ptx::space_shared);
        ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, &filled, sizeof(tile));
        const int from[2] = {column, row};
        ptx::cp_async_bulk_tensor(ptx::space_cluster, ptx::space_global, tile, &map_x, from, &filled);
    }
    __syncthreads();
    while (!ptx::mbarrier_try_wait_parity(&filled, 0))
        ;
    for (int i = 0; i < 32; i++)
        turned[threadIdx.x][i] = tile[i][threadIdx.x];
    ptx::fence_proxy_async(ptx::space_shared);
    __syncthreads();
    if (threadIdx.x == 0) {
        const int to[2] = {row, column};
        ptx::cp_reduce_async_bulk_tensor(ptx::space_global, ptx::space_shared, ptx::op_add, &map_y, to, turned);
        ptx::cp_async_bulk_commit_group();
        ptx::cp_async_bulk_wait_group(ptx::n32_t<0>());
    }
}
