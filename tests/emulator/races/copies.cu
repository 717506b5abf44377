// Races with asynchronous copies. Each kernel: (out, data, flags), one CTA.

__device__ __forceinline__ void copy_async(u32* to, const u32* from)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(shared_address(to)), "l"(from) : "memory");
}
__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int KEEP> __device__ __forceinline__ void wait_group()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(KEEP) : "memory");
}

extern "C" __global__ void copy_without_wait(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[64];
    copy_async(tile + threadIdx.x, data + threadIdx.x);
    commit();
    ORDERED(wait_group<0>();)
    out[threadIdx.x] = tile[threadIdx.x];
    RACY(wait_group<0>();)
}

// The newest group is the one that is read.
extern "C" __global__ void wait_keeps_one(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[2][64];
    copy_async(tile[0] + threadIdx.x, data + threadIdx.x);
    commit();
    copy_async(tile[1] + threadIdx.x, data + 64 + threadIdx.x);
    commit();
    RACY(wait_group<1>();)
    ORDERED(wait_group<0>();)
    out[threadIdx.x] = tile[1][threadIdx.x];
}

// A thread waits for its own copies alone: the others' need a barrier.
extern "C" __global__ void copy_of_a_neighbour(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[64];
    copy_async(tile + threadIdx.x, data + threadIdx.x);
    commit();
    wait_group<0>();
    ORDERED(__syncthreads();)
    out[threadIdx.x] = tile[63 - threadIdx.x];
}

// The buffer is filled again while others still read what the last copy brought.
extern "C" __global__ void copy_into_what_is_read(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[64];
    u32 sum = 0;
    for (u32 step = 0; step < 3; step++) {
        copy_async(tile + threadIdx.x, data + 64 * step + threadIdx.x);
        commit();
        wait_group<0>();
        __syncthreads();
        sum += tile[63 - threadIdx.x];
        ORDERED(__syncthreads();)
    }
    out[threadIdx.x] = sum;
}

// What the copy takes is overwritten by another thread.
extern "C" __global__ void source_overwritten(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[64];
    copy_async(tile + threadIdx.x, data + threadIdx.x);
    commit();
    ORDERED(wait_group<0>(); __syncthreads();)
    data[63 - threadIdx.x] = 7;
    RACY(wait_group<0>(); __syncthreads();)
    out[threadIdx.x] = tile[threadIdx.x];
}

extern "C" __global__ void bulk_copy_without_wait(u32* out, u32* data, u32* flags)
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
    }
    ORDERED(gate_wait(&gate, 0);)
    out[threadIdx.x] = tile[threadIdx.x];
    RACY(gate_wait(&gate, 0);)
}

// The next bulk copy comes while slow warps still read the stage.
extern "C" __global__ void bulk_copy_into_what_is_read(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gates[3];
    __shared__ alignas(16) u32 stage[64];
    if (threadIdx.x == 0)
        for (u32 step = 0; step < 3; step++)
            gate_init(gates + step, 1);
    gate_fence();
    __syncthreads();
    u32 sum = 0;
    for (u32 step = 0; step < 3; step++) {
        if (threadIdx.x == 0) {
            gate_expect(gates + step, 256);
            copy_bulk(stage, data + 64 * step, 256, gates + step);
        }
        gate_wait(gates + step, 0);
        sum += stage[63 - threadIdx.x];
        ORDERED(__syncthreads();)
    }
    out[threadIdx.x] = sum;
}

// The tile is written again before the bulk copy has taken it.
extern "C" __global__ void bulk_source_overwritten(u32* out, u32* data, u32* flags)
{
    __shared__ alignas(16) u32 tile[64];
    tile[threadIdx.x] = data[threadIdx.x];
    proxy_fence();
    __syncthreads();
    if (threadIdx.x == 0) {
        store_bulk(out, tile, 256);
        ORDERED(asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");)
    }
    ORDERED(__syncthreads();)
    tile[threadIdx.x] = 7;
    if (threadIdx.x == 0)
        asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

// Two copies into the same bytes, of which the second does not wait for the first.
extern "C" __global__ void copies_to_one_place(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gates[2];
    __shared__ alignas(16) u32 tile[64];
    if (threadIdx.x == 0) {
        gate_init(gates, 1);
        gate_init(gates + 1, 1);
    }
    gate_fence();
    __syncthreads();
    if (threadIdx.x == 0) {
        gate_expect(gates, 256);
        copy_bulk(tile, data, 256, gates);
        ORDERED(gate_wait(gates, 0);)
        gate_expect(gates + 1, 256);
        copy_bulk(tile, data + 64, 256, gates + 1);
    }
    gate_wait(gates, 0);
    gate_wait(gates + 1, 0);
    out[threadIdx.x] = tile[threadIdx.x];
}
