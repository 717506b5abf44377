// Block-wide sum and scan by CUB.
#include <cub/cub.cuh>
#include <thrust/device_vector.h>
#include <thrust/host_vector.h>
#include <thrust/sequence.h>
#include <iostream>

constexpr int BLOCK = 128;
constexpr int ITEMS = 4;

__global__ void block_sums(const int* in, int* sums, int n)
{
    using Reduce = cub::BlockReduce<int, BLOCK>;
    __shared__ typename Reduce::TempStorage storage;
    const int i = blockIdx.x * BLOCK + threadIdx.x;
    const int sum = Reduce(storage).Sum(i < n ? in[i] : 0);
    if (threadIdx.x == 0)
        sums[blockIdx.x] = sum;
}

__global__ void block_scan(int* data)
{
    using Load = cub::BlockLoad<int, BLOCK, ITEMS, cub::BLOCK_LOAD_TRANSPOSE>;
    using Scan = cub::BlockScan<int, BLOCK>;
    using Store = cub::BlockStore<int, BLOCK, ITEMS, cub::BLOCK_STORE_TRANSPOSE>;
    __shared__ union {
        typename Load::TempStorage load;
        typename Scan::TempStorage scan;
        typename Store::TempStorage store;
    } storage;
    int items[ITEMS];
    Load(storage.load).Load(data + blockIdx.x * BLOCK * ITEMS, items);
    __syncthreads();
    Scan(storage.scan).InclusiveSum(items, items);
    __syncthreads();
    Store(storage.store).Store(data + blockIdx.x * BLOCK * ITEMS, items);
}

int main()
{
    thrust::device_vector<int> data(BLOCK * ITEMS);
    thrust::sequence(data.begin(), data.end());
    block_scan<<<1, BLOCK>>>(thrust::raw_pointer_cast(data.data()));
    thrust::host_vector<int> result = data;
    std::cout << result[BLOCK * ITEMS - 1] << '\n';
}
