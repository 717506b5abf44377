// libcu++: barriers, pipelines and asynchronous copies, atomics, and the standard library on the device.

#pragma nv_diag_suppress static_var_with_dynamic_init

#include <cuda/atomic>
#include <cuda/barrier>
#include <cuda/latch>
#include <cuda/pipeline>
#include <cuda/semaphore>
#include <cuda/std/array>
#include <cuda/std/bit>
#include <cuda/std/complex>
#include <cuda/std/optional>
#include <cuda/std/tuple>
#include <cuda/std/utility>
#include <cooperative_groups.h>

namespace cg = cooperative_groups;

extern "C" __global__ void barrier_arrive_and_wait(const int* x, int* y)
{
    __shared__ cuda::barrier<cuda::thread_scope_block> barrier;
    __shared__ int tile[128];
    if (threadIdx.x == 0)
        init(&barrier, blockDim.x);
    __syncthreads();
    int value = x[threadIdx.x];
    for (int step = 1; step < 128; step *= 2) {
        tile[threadIdx.x] = value;
        barrier.arrive_and_wait();
        value += tile[threadIdx.x ^ step];
        barrier.arrive_and_wait();
    }
    y[threadIdx.x] = value;
}

extern "C" __global__ void barrier_split(const int* x, int* y)
{
    __shared__ cuda::barrier<cuda::thread_scope_block> ready;
    __shared__ int tile[96];
    if (threadIdx.x == 0)
        init(&ready, blockDim.x);
    __syncthreads();
    tile[threadIdx.x] = x[threadIdx.x];
    auto token = ready.arrive();
    int own = 3 * x[threadIdx.x];
    ready.wait(cuda::std::move(token));
    y[threadIdx.x] = own + tile[95 - threadIdx.x];
}

extern "C" __global__ void producer_and_consumers(const int* x, int* y, int tiles)
{
    // Warp 0 fills two buffers in turn, the other warps read them.
    using Barrier = cuda::barrier<cuda::thread_scope_block>;
    __shared__ Barrier full[2], empty[2];
    __shared__ int buffer[2][32];
    if (threadIdx.x == 0)
        for (int i = 0; i < 2; i++) {
            init(&full[i], blockDim.x);
            init(&empty[i], blockDim.x);
        }
    __syncthreads();
    if (threadIdx.x < 32) {
        for (int i = 0; i < tiles; i++) {
            empty[i % 2].arrive_and_wait();
            buffer[i % 2][threadIdx.x] = x[32 * i + threadIdx.x];
            (void)full[i % 2].arrive();
        }
    } else {
        int sum = 0;
        (void)empty[0].arrive();
        (void)empty[1].arrive();
        for (int i = 0; i < tiles; i++) {
            full[i % 2].arrive_and_wait();
            sum += buffer[i % 2][(threadIdx.x + i) % 32];
            (void)empty[i % 2].arrive();
        }
        y[threadIdx.x - 32] = sum;
    }
}

extern "C" __global__ void copy_with_barrier(const int* x, int* y)
{
    __shared__ cuda::barrier<cuda::thread_scope_block> barrier;
    __shared__ alignas(16) int tile[256];
    auto block = cg::this_thread_block();
    if (threadIdx.x == 0)
        init(&barrier, blockDim.x);
    __syncthreads();
    cuda::memcpy_async(block, tile, x + 256 * blockIdx.x, cuda::aligned_size_t<16>(sizeof tile), barrier);
    barrier.arrive_and_wait();
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        y[256 * blockIdx.x + i] = tile[255 - i];
}

extern "C" __global__ void pipeline_of_block(const float* x, float* y, int tiles)
{
    constexpr int STAGES = 2;
    __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, STAGES> state;
    __shared__ alignas(16) float stages[STAGES][64];
    auto block = cg::this_thread_block();
    auto pipeline = cuda::make_pipeline(block, &state);
    float sum = 0.0f;
    for (int done = 0, fetched = 0; done < tiles; done++) {
        for (; fetched < tiles && fetched < done + STAGES; fetched++) {
            pipeline.producer_acquire();
            cuda::memcpy_async(block, stages[fetched % STAGES], x + 64 * fetched,
                               cuda::aligned_size_t<16>(sizeof stages[0]), pipeline);
            pipeline.producer_commit();
        }
        pipeline.consumer_wait();
        sum += stages[done % STAGES][63 - threadIdx.x];
        pipeline.consumer_release();
    }
    y[threadIdx.x] = sum;
}

extern "C" __global__ void pipeline_of_thread(const float4* x, float4* y, int n)
{
    __shared__ float4 stages[2][32];
    auto pipeline = cuda::make_pipeline();
    int t = threadIdx.x;
    pipeline.producer_acquire();
    cuda::memcpy_async(&stages[0][t], x + t, cuda::aligned_size_t<16>(16), pipeline);
    pipeline.producer_commit();
    float4 sum = make_float4(0, 0, 0, 0);
    for (int i = 0; i < n; i++) {
        if (i + 1 < n) {
            pipeline.producer_acquire();
            cuda::memcpy_async(&stages[(i + 1) % 2][t], x + 32 * (i + 1) + t, cuda::aligned_size_t<16>(16), pipeline);
            pipeline.producer_commit();
            cuda::pipeline_consumer_wait_prior<1>(pipeline);
        } else {
            cuda::pipeline_consumer_wait_prior<0>(pipeline);
        }
        float4 value = stages[i % 2][t];
        sum = make_float4(sum.x + value.x, sum.y + value.y, sum.z + value.z, sum.w + value.w);
        pipeline.consumer_release();
    }
    y[t] = sum;
}

extern "C" __global__ void atomic_references(const int* x, int* counts, float* sum, unsigned long long* most)
{
    int value = x[blockIdx.x * blockDim.x + threadIdx.x];
    cuda::atomic_ref<int, cuda::thread_scope_device> count(counts[value & 7]);
    count.fetch_add(1, cuda::memory_order_relaxed);
    cuda::atomic_ref<float, cuda::thread_scope_device> total(*sum);
    total.fetch_add(float(value), cuda::memory_order_relaxed);
    cuda::atomic_ref<unsigned long long, cuda::thread_scope_device> largest(*most);
    largest.fetch_max((unsigned long long)value << 33, cuda::memory_order_relaxed);
}

extern "C" __global__ void compare_and_exchange(double* products, const double* x)
{
    __shared__ cuda::atomic<double, cuda::thread_scope_block> product;
    if (threadIdx.x == 0)
        product.store(1.0, cuda::memory_order_relaxed);
    __syncthreads();
    double factor = x[threadIdx.x], before = product.load(cuda::memory_order_relaxed);
    while (!product.compare_exchange_weak(before, before * factor, cuda::memory_order_relaxed)) {}
    __syncthreads();
    if (threadIdx.x == 0)
        *products = product.load();
}

extern "C" __global__ void message_between_blocks(int* data, unsigned* flag, int* y)
{
    cuda::atomic_ref<unsigned, cuda::thread_scope_device> ready(*flag);
    if (blockIdx.x == 0) {
        data[threadIdx.x] = 7 * threadIdx.x + 1;
        __syncthreads();
        if (threadIdx.x == 0) {
            ready.store(1, cuda::memory_order_release);
            ready.notify_all();
        }
    } else {
        if (threadIdx.x == 0)
            ready.wait(0, cuda::memory_order_acquire);
        __syncthreads();
        y[threadIdx.x] = data[threadIdx.x] + 1;
    }
}

extern "C" __global__ void last_block_sums(const int* x, int* partial, unsigned* tickets, int* total)
{
    // Every block leaves its sum; the one that draws the last ticket adds them all.
    __shared__ int sum;
    __shared__ bool last;
    if (threadIdx.x == 0)
        sum = 0;
    __syncthreads();
    cuda::atomic_ref<int, cuda::thread_scope_block>(sum).fetch_add(
        x[blockIdx.x * blockDim.x + threadIdx.x], cuda::memory_order_relaxed);
    __syncthreads();
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = sum;
        cuda::atomic_ref<unsigned, cuda::thread_scope_device> ticket(*tickets);
        last = ticket.fetch_add(1, cuda::memory_order_acq_rel) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0) {
        int all = 0;
        for (unsigned i = 0; i < gridDim.x; i++)
            all += partial[i];
        *total = all;
    }
}

extern "C" __global__ void latch_and_semaphore(int* y)
{
    __shared__ cuda::latch<cuda::thread_scope_block>* latch;
    __shared__ alignas(16) char latch_storage[sizeof(cuda::latch<cuda::thread_scope_block>)];
    __shared__ alignas(16) char lock_storage[sizeof(cuda::binary_semaphore<cuda::thread_scope_block>)];
    __shared__ int sum;
    auto* lock = reinterpret_cast<cuda::binary_semaphore<cuda::thread_scope_block>*>(lock_storage);
    if (threadIdx.x == 0) {
        latch = new (latch_storage) cuda::latch<cuda::thread_scope_block>(blockDim.x);
        new (lock_storage) cuda::binary_semaphore<cuda::thread_scope_block>(1);
        sum = 0;
    }
    __syncthreads();
    lock->acquire();
    sum += threadIdx.x;
    lock->release();
    latch->arrive_and_wait();
    y[threadIdx.x] = sum;
}

extern "C" __global__ void complex_numbers(const cuda::std::complex<float>* x, cuda::std::complex<float>* y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    auto z = x[i];
    y[3 * i] = z * z + cuda::std::conj(z);
    y[3 * i + 1] = cuda::std::exp(z) / (z + 2.0f);
    y[3 * i + 2] = {cuda::std::abs(z), cuda::std::norm(z)};
}

extern "C" __global__ void bits_and_tuples(const unsigned* x, int* y)
{
    unsigned value = x[threadIdx.x];
    cuda::std::array<int, 6> counts = {
        cuda::std::popcount(value), cuda::std::countl_zero(value), cuda::std::countr_zero(value),
        int(cuda::std::bit_width(value)), int(cuda::std::rotl(value, 7) & 0xffff), cuda::std::has_single_bit(value)};
    auto pair = cuda::std::make_tuple(counts[0] + counts[1], counts[2]);
    cuda::std::optional<int> kept;
    if (value & 1)
        kept = cuda::std::get<0>(pair);
    for (int i = 0; i < 6; i++)
        y[threadIdx.x * 7 + i] = counts[i];
    y[threadIdx.x * 7 + 6] = kept.value_or(-cuda::std::get<1>(pair));
}
