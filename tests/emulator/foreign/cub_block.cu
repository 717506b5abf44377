// Block-wide algorithms of CUB.

#include <cub/block/block_adjacent_difference.cuh>
#include <cub/block/block_discontinuity.cuh>
#include <cub/block/block_exchange.cuh>
#include <cub/block/block_histogram.cuh>
#include <cub/block/block_load.cuh>
#include <cub/block/block_merge_sort.cuh>
#include <cub/block/block_radix_sort.cuh>
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_run_length_decode.cuh>
#include <cub/block/block_scan.cuh>
#include <cub/block/block_shuffle.cuh>
#include <cub/block/block_store.cuh>

constexpr int THREADS = 128;
constexpr int ITEMS = 4;
constexpr int TILE = THREADS * ITEMS;

struct Larger {
    template <typename T> __device__ T operator()(T a, T b) const { return a < b ? b : a; }
};

struct Less {
    template <typename T> __device__ bool operator()(const T& a, const T& b) const { return a < b; }
};

struct Different {
    __device__ bool operator()(int a, int b) const { return a != b; }
};

struct Minus {
    __device__ int operator()(int a, int b) const { return a - b; }
};

template <typename T, cub::BlockReduceAlgorithm ALGORITHM>
__device__ T sum_of_block(T value)
{
    using Reduce = cub::BlockReduce<T, THREADS, ALGORITHM>;
    __shared__ typename Reduce::TempStorage storage;
    return Reduce(storage).Sum(value);
}

extern "C" __global__ void reduce_raking(const int* x, int* sums)
{
    int sum = sum_of_block<int, cub::BLOCK_REDUCE_RAKING>(x[blockIdx.x * THREADS + threadIdx.x]);
    if (threadIdx.x == 0)
        sums[blockIdx.x] = sum;
}

extern "C" __global__ void reduce_warps(const double* x, double* sums)
{
    double sum = sum_of_block<double, cub::BLOCK_REDUCE_WARP_REDUCTIONS>(x[blockIdx.x * THREADS + threadIdx.x]);
    if (threadIdx.x == 0)
        sums[blockIdx.x] = sum;
}

extern "C" __global__ void reduce_largest(const float* x, float* largest, int n)
{
    using Load = cub::BlockLoad<float, THREADS, ITEMS, cub::BLOCK_LOAD_VECTORIZE>;
    using Reduce = cub::BlockReduce<float, THREADS>;
    __shared__ union {
        typename Load::TempStorage load;
        typename Reduce::TempStorage reduce;
    } storage;
    float items[ITEMS];
    Load(storage.load).Load(x, items, n, -1e30f);
    __syncthreads();
    float result = Reduce(storage.reduce).Reduce(items, Larger());
    if (threadIdx.x == 0)
        *largest = result;
}

extern "C" __global__ void reduce_fewer(const int* x, int* total)
{
    using Reduce = cub::BlockReduce<int, 1024>;
    __shared__ typename Reduce::TempStorage storage;
    int result = Reduce(storage).Sum(x[threadIdx.x], blockDim.x);
    if (threadIdx.x == 0)
        *total = result;
}

extern "C" __global__ void scan_exclusive(const int* x, int* y, int* total)
{
    using Load = cub::BlockLoad<int, THREADS, ITEMS, cub::BLOCK_LOAD_WARP_TRANSPOSE>;
    using Store = cub::BlockStore<int, THREADS, ITEMS, cub::BLOCK_STORE_WARP_TRANSPOSE>;
    using Scan = cub::BlockScan<int, THREADS, cub::BLOCK_SCAN_WARP_SCANS>;
    __shared__ union {
        typename Load::TempStorage load;
        typename Store::TempStorage store;
        typename Scan::TempStorage scan;
    } storage;
    int items[ITEMS], sum;
    Load(storage.load).Load(x, items);
    __syncthreads();
    Scan(storage.scan).ExclusiveSum(items, items, sum);
    __syncthreads();
    Store(storage.store).Store(y, items);
    if (threadIdx.x == 0)
        *total = sum;
}

extern "C" __global__ void scan_largest(const int* x, int* y)
{
    using Scan = cub::BlockScan<int, THREADS, cub::BLOCK_SCAN_RAKING_MEMOIZE>;
    __shared__ typename Scan::TempStorage storage;
    int item = x[threadIdx.x];
    Scan(storage).InclusiveScan(item, item, Larger());
    y[threadIdx.x] = item;
}

extern "C" __global__ void sort_keys(const int* x, int* y)
{
    using Load = cub::BlockLoad<int, THREADS, ITEMS, cub::BLOCK_LOAD_TRANSPOSE>;
    using Sort = cub::BlockRadixSort<int, THREADS, ITEMS>;
    __shared__ union {
        typename Load::TempStorage load;
        typename Sort::TempStorage sort;
    } storage;
    int items[ITEMS];
    Load(storage.load).Load(x, items);
    __syncthreads();
    Sort(storage.sort).Sort(items);
    cub::StoreDirectBlocked(threadIdx.x, y, items);
}

extern "C" __global__ void sort_pairs(const float* keys, float* sorted, int* places)
{
    using Sort = cub::BlockRadixSort<float, THREADS, ITEMS, int>;
    __shared__ typename Sort::TempStorage storage;
    float items[ITEMS];
    int values[ITEMS];
    cub::LoadDirectBlocked(threadIdx.x, keys, items);
    for (int i = 0; i < ITEMS; i++)
        values[i] = threadIdx.x * ITEMS + i;
    Sort(storage).SortDescendingBlockedToStriped(items, values);
    cub::StoreDirectStriped<THREADS>(threadIdx.x, sorted, items);
    cub::StoreDirectStriped<THREADS>(threadIdx.x, places, values);
}

extern "C" __global__ void sort_merge(const double* x, double* y, int n)
{
    using Sort = cub::BlockMergeSort<double, THREADS, 3>;
    __shared__ typename Sort::TempStorage storage;
    double items[3];
    cub::LoadDirectBlocked(threadIdx.x, x, items, n, 1e300);
    Sort(storage).Sort(items, Less(), n, 1e300);
    cub::StoreDirectBlocked(threadIdx.x, y, items, n);
}

template <cub::BlockHistogramAlgorithm ALGORITHM>
__device__ void histogram(const unsigned char* x, unsigned* counts)
{
    using Histogram = cub::BlockHistogram<unsigned char, THREADS, ITEMS, 256, ALGORITHM>;
    __shared__ typename Histogram::TempStorage storage;
    __shared__ unsigned bins[256];
    unsigned char items[ITEMS];
    cub::LoadDirectStriped<THREADS>(threadIdx.x, x + blockIdx.x * TILE, items);
    Histogram(storage).Histogram(items, bins);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += THREADS)
        atomicAdd(&counts[i], bins[i]);
}

extern "C" __global__ void histogram_atomic(const unsigned char* x, unsigned* counts)
{
    histogram<cub::BLOCK_HISTO_ATOMIC>(x, counts);
}

extern "C" __global__ void histogram_sort(const unsigned char* x, unsigned* counts)
{
    histogram<cub::BLOCK_HISTO_SORT>(x, counts);
}

extern "C" __global__ void exchange(const int* x, int* striped, int* scattered, const int* ranks)
{
    using Exchange = cub::BlockExchange<int, THREADS, ITEMS>;
    __shared__ typename Exchange::TempStorage storage;
    int items[ITEMS], places[ITEMS], moved[ITEMS];
    cub::LoadDirectBlocked(threadIdx.x, x, items);
    cub::LoadDirectBlocked(threadIdx.x, ranks, places);
    Exchange(storage).BlockedToStriped(items, moved);
    cub::StoreDirectStriped<THREADS>(threadIdx.x, striped, moved);
    __syncthreads();
    Exchange(storage).ScatterToBlocked(items, places);
    cub::StoreDirectBlocked(threadIdx.x, scattered, items);
}

extern "C" __global__ void heads_and_differences(const int* x, int* heads, int* differences)
{
    using Discontinuity = cub::BlockDiscontinuity<int, THREADS>;
    using Difference = cub::BlockAdjacentDifference<int, THREADS>;
    __shared__ typename Discontinuity::TempStorage flags_storage;
    __shared__ typename Difference::TempStorage difference_storage;
    int items[ITEMS], flags[ITEMS], results[ITEMS];
    cub::LoadDirectBlocked(threadIdx.x, x, items);
    Discontinuity(flags_storage).FlagHeads(flags, items, Different());
    Difference(difference_storage).SubtractLeft(items, results, Minus());
    cub::StoreDirectBlocked(threadIdx.x, heads, flags);
    cub::StoreDirectBlocked(threadIdx.x, differences, results);
}

extern "C" __global__ void shuffle(const int* x, int* y)
{
    using Shuffle = cub::BlockShuffle<int, THREADS>;
    __shared__ typename Shuffle::TempStorage storage;
    int rotated = 0;
    Shuffle(storage).Rotate(x[threadIdx.x], rotated, 5);
    y[threadIdx.x] = rotated;
}

extern "C" __global__ void run_length_decode(const int* values, const unsigned* lengths, int* y, unsigned* total)
{
    using Decode = cub::BlockRunLengthDecode<int, THREADS, 1, ITEMS>;
    __shared__ typename Decode::TempStorage storage;
    int run_values[1] = {values[threadIdx.x]};
    unsigned run_lengths[1] = {lengths[threadIdx.x]};
    unsigned size = 0;
    Decode decode(storage, run_values, run_lengths, size);
    for (unsigned done = 0; done < size; done += TILE) {
        int items[ITEMS];
        decode.RunLengthDecode(items, done);
        cub::StoreDirectBlocked(threadIdx.x, y + done, items, size - done);
    }
    if (threadIdx.x == 0)
        *total = size;
}
