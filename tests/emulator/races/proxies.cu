// Writes by the generic proxy and uses by the asynchronous one. Each kernel: (out, data, flags), one CTA.

__device__ __forceinline__ void global_fence() { asm volatile("fence.proxy.async.global;" ::: "memory"); }
__device__ __forceinline__ void every_fence() { asm volatile("fence.proxy.async;" ::: "memory"); }
__device__ __forceinline__ void stored() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }

// The writers fence, then all meet, then one thread copies.
extern "C" __global__ void store_without_fence(u32* out, u32* data, u32* flags)
{
    __shared__ alignas(16) u32 tile[64];
    tile[threadIdx.x] = data[threadIdx.x];
    ORDERED(proxy_fence();)
    __syncthreads();
    if (threadIdx.x == 0) {
        store_bulk(out, tile, 256);
        stored();
    }
}

// A fence of global memory is none of shared memory.
extern "C" __global__ void fence_of_the_other_memory(u32* out, u32* data, u32* flags)
{
    __shared__ alignas(16) u32 tile[64];
    tile[threadIdx.x] = data[threadIdx.x];
    RACY(global_fence();)
    ORDERED(every_fence();)
    __syncthreads();
    if (threadIdx.x == 0) {
        store_bulk(out, tile, 256);
        stored();
    }
}

// All meet, then the thread that copies fences for all.
extern "C" __global__ void fence_before_the_meeting(u32* out, u32* data, u32* flags)
{
    __shared__ alignas(16) u32 tile[64];
    if (threadIdx.x >= 32)
        tile[threadIdx.x] = data[threadIdx.x];
    RACY(if (threadIdx.x == 0) proxy_fence();)
    __syncthreads();
    if (threadIdx.x == 0) {
        ORDERED(proxy_fence();)
        store_bulk(out, tile + 32, 128);
        stored();
    }
}

// The same over an mbarrier: warp 1 writes, thread 0 waits, fences and copies.
extern "C" __global__ void fence_before_the_wait(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ alignas(16) u32 tile[32];
    if (threadIdx.x == 0)
        gate_init(&gate, 32);
    gate_fence();
    __syncthreads();
    if (threadIdx.x >= 32) {
        tile[threadIdx.x - 32] = data[threadIdx.x];
        gate_arrive(&gate);
    }
    if (threadIdx.x == 0) {
        RACY(proxy_fence();)
        gate_wait(&gate, 0);
        ORDERED(proxy_fence();)
        store_bulk(out, tile, 128);
        stored();
    }
}

// Warp 0 writes, warp 1 meets it and fences, warp 2 meets warp 1 and copies.
extern "C" __global__ void fence_of_a_third_thread(u32* out, u32* data, u32* flags)
{
    __shared__ alignas(16) u32 tile[32];
    if (threadIdx.x < 32) {
        tile[threadIdx.x] = data[threadIdx.x];
        named_arrive<1>(64);
    } else if (threadIdx.x < 64) {
        named_sync<1>(64);
        ORDERED(proxy_fence();)
        named_arrive<2>(64);
    } else {
        named_sync<2>(64);
        if (threadIdx.x == 64) {
            store_bulk(out, tile, 128);
            stored();
        }
    }
}

// In each round the writers fence for the round, and may be a fence ahead of the thread that copies.
extern "C" __global__ void fences_of_earlier_rounds(u32* out, u32* data, u32* flags)
{
    __shared__ alignas(16) u32 tile[2][32];
    for (u32 round = 0; round < 4; round++) {
        const u32 filled = 1 + round % 2, used = 3 + round % 2;
        if (threadIdx.x < 32) {
            if (round > 1)
                asm volatile("bar.sync %0, 64;" ::"r"(used) : "memory");
            tile[round % 2][threadIdx.x] = data[threadIdx.x] + round;
            ORDERED(proxy_fence();)
            RACY(if (round != 2) proxy_fence();)
            asm volatile("bar.arrive %0, 64;" ::"r"(filled) : "memory");
        } else {
            asm volatile("bar.sync %0, 64;" ::"r"(filled) : "memory");
            if (threadIdx.x == 32) {
                store_bulk(out + 32 * round, tile[round % 2], 128);
                stored();
            }
            __syncwarp();
            if (round < 2)
                asm volatile("bar.arrive %0, 64;" ::"r"(used) : "memory");
        }
    }
}

// A copy fills what threads have written before.
extern "C" __global__ void copy_over_a_write(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ alignas(16) u32 tile[64];
    tile[threadIdx.x] = threadIdx.x;
    if (threadIdx.x == 0)
        gate_init(&gate, 1);
    gate_fence();
    ORDERED(proxy_fence();)
    __syncthreads();
    if (threadIdx.x == 0) {
        gate_expect(&gate, 256);
        copy_bulk(tile, data, 256, &gate);
    }
    gate_wait(&gate, 0);
    out[threadIdx.x] = tile[threadIdx.x];
}

// cp.async writes by the generic proxy.
extern "C" __global__ void store_of_a_copy(u32* out, u32* data, u32* flags)
{
    __shared__ alignas(16) u32 tile[64];
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4; cp.async.wait_all;" ::"r"(shared_address(
                     tile + threadIdx.x)), "l"(data + threadIdx.x) : "memory");
    ORDERED(proxy_fence();)
    __syncthreads();
    if (threadIdx.x == 0) {
        store_bulk(out, tile, 256);
        stored();
    }
}

// A copy reads global memory that threads of its CTA have written.
extern "C" __global__ void copy_of_a_write(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ alignas(16) u32 tile[64];
    data[threadIdx.x] = threadIdx.x + 1;
    if (threadIdx.x == 0)
        gate_init(&gate, 1);
    gate_fence();
    ORDERED(global_fence();)
    RACY(proxy_fence();)
    __syncthreads();
    if (threadIdx.x == 0) {
        gate_expect(&gate, 256);
        copy_bulk(tile, data, 256, &gate);
    }
    gate_wait(&gate, 0);
    out[threadIdx.x] = tile[threadIdx.x];
}

// What copies have brought needs no fence for other copies.
extern "C" __global__ void copy_through_shared_memory(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ alignas(16) u32 tile[64];
    if (threadIdx.x == 0)
        gate_init(&gate, 1);
    gate_fence();
    __syncthreads();
    if (threadIdx.x == 0) {
        gate_expect(&gate, 256);
        copy_bulk(tile, data, 256, &gate);
        gate_wait(&gate, 0);
        RACY(tile[3] = 5;)
        store_bulk(out, tile, 256);
        stored();
    }
}

extern "C" __global__ void start_without_fence(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ alignas(16) u32 tile[64];
    if (threadIdx.x == 0)
        gate_init(&gate, 1);
    ORDERED(gate_fence();)
    __syncthreads();
    if (threadIdx.x == 32) {
        gate_expect(&gate, 256);
        copy_bulk(tile, data, 256, &gate);
    }
    gate_wait(&gate, 0);
    out[threadIdx.x] = tile[threadIdx.x];
}
