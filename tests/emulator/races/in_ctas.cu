// Races between warps of one CTA. Each kernel: (out, data, flags).

extern "C" __global__ void neighbours(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[64];
    tile[threadIdx.x] = data[threadIdx.x];
    ORDERED(__syncthreads();)
    out[threadIdx.x] = tile[(threadIdx.x + 32) % 64];
}

// The tile is filled again while slow warps still read it: the second barrier of the loop is missing.
extern "C" __global__ void reused_tile(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[64];
    u32 sum = 0;
    for (u32 step = 0; step < 4; step++) {
        tile[threadIdx.x] = data[64 * step + threadIdx.x];
        __syncthreads();
        sum += tile[(threadIdx.x + 32) % 64];
        ORDERED(__syncthreads();)
    }
    out[threadIdx.x] = sum;
}

extern "C" __global__ void through_global(u32* out, u32* data, u32* flags)
{
    data[threadIdx.x] = 3 * threadIdx.x;
    ORDERED(__syncthreads();)
    out[threadIdx.x] = data[63 - threadIdx.x];
}

// A load by .nc may give the old value, although a barrier orders it after the store.
extern "C" __global__ void read_only_load(u32* out, u32* data, u32* flags)
{
    data[threadIdx.x] = 3 * threadIdx.x;
    __syncthreads();
    RACY(out[threadIdx.x] = __ldg(&data[63 - threadIdx.x]);)
    ORDERED(out[threadIdx.x] = data[63 - threadIdx.x] + __ldg(&data[64 + threadIdx.x]);)
}

extern "C" __global__ void read_only_vector(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x == 40)
        data[81] = 7;
    __syncthreads();
    RACY(const uint2 pair = __ldg(reinterpret_cast<const uint2*>(data) + threadIdx.x);)
    ORDERED(const uint2 pair = __ldg(reinterpret_cast<const uint2*>(data) + 64 + threadIdx.x);)
    out[threadIdx.x] = pair.x + pair.y;
}

// The consumers meet at a barrier of their own; the producers meet at another.
extern "C" __global__ void another_barrier(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[32];
    if (threadIdx.x < 32) {
        tile[threadIdx.x] = data[threadIdx.x];
        RACY(named_sync<1>(32);)
        ORDERED(named_sync<1>(64);)
    } else {
        RACY(named_sync<2>(32);)
        ORDERED(named_sync<1>(64);)
        out[threadIdx.x - 32] = tile[63 - threadIdx.x];
    }
}

// The producers say that the tile is full, and fill it afterwards.
extern "C" __global__ void early_arrival(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[32];
    if (threadIdx.x < 32) {
        RACY(named_arrive<3>(64);)
        tile[threadIdx.x] = data[threadIdx.x];
        ORDERED(named_arrive<3>(64);)
    } else {
        named_sync<3>(64);
        out[threadIdx.x - 32] = tile[63 - threadIdx.x];
    }
}

// An arrival does not wait: the producers fill the tile again before anyone has read it.
extern "C" __global__ void arrival_is_no_wait(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[32];
    if (threadIdx.x < 32) {
        tile[threadIdx.x] = data[threadIdx.x];
        named_arrive<1>(64);
        ORDERED(named_sync<2>(64);)
        tile[threadIdx.x] = data[32 + threadIdx.x];
        named_arrive<3>(64);
    } else {
        named_sync<1>(64);
        u32 sum = tile[63 - threadIdx.x];
        ORDERED(named_arrive<2>(64);)
        named_sync<3>(64);
        out[threadIdx.x - 32] = sum + tile[63 - threadIdx.x];
    }
}

// Three warps write, and the barrier counts two of them.
extern "C" __global__ void short_count(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[96];
    tile[threadIdx.x] = data[threadIdx.x];
    RACY(if (threadIdx.x < 64) named_sync<1>(64);)
    ORDERED(named_sync<1>(96);)
    if (threadIdx.x < 32)
        out[threadIdx.x] = tile[95 - threadIdx.x];
}

extern "C" __global__ void gate_before_value(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ u32 tile[32];
    if (threadIdx.x == 0)
        gate_init(&gate, 32);
    __syncthreads();
    if (threadIdx.x < 32) {
        RACY(gate_arrive(&gate);)
        tile[threadIdx.x] = data[threadIdx.x];
        ORDERED(gate_arrive(&gate);)
    } else {
        gate_wait(&gate, 0);
        out[threadIdx.x - 32] = tile[63 - threadIdx.x];
    }
}

// The phase of parity 1 of a fresh mbarrier counts as over: this wait does not wait.
extern "C" __global__ void wrong_parity(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ u32 tile[32];
    if (threadIdx.x == 0)
        gate_init(&gate, 32);
    __syncthreads();
    if (threadIdx.x >= 32) {
        tile[threadIdx.x - 32] = data[threadIdx.x];
        gate_arrive(&gate);
    } else {
        RACY(gate_wait(&gate, 1);)
        ORDERED(gate_wait(&gate, 0);)
        out[threadIdx.x] = tile[31 - threadIdx.x];
    }
}

// The gate opens after the first of two warps has arrived.
extern "C" __global__ void gate_counts_one(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ u32 tile[64];
    if (threadIdx.x == 0) {
        RACY(gate_init(&gate, 32);)
        ORDERED(gate_init(&gate, 64);)
    }
    __syncthreads();
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    if (warp != 1) {
        tile[16 * warp + lane] = data[threadIdx.x];
        gate_arrive(&gate);
    } else {
        gate_wait(&gate, 0);
        out[lane] = tile[lane] + tile[lane + 32];
    }
}

// One lane arrives for its warp, and the warp did not synchronise before.
extern "C" __global__ void lane_arrives_for_warp(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ u32 tile[32];
    if (threadIdx.x == 0)
        gate_init(&gate, 1);
    __syncthreads();
    if (threadIdx.x < 32) {
        tile[threadIdx.x] = data[threadIdx.x];
        ORDERED(__syncwarp();)
        if (threadIdx.x == 0)
            gate_arrive(&gate);
    } else {
        gate_wait(&gate, 0);
        out[threadIdx.x - 32] = tile[63 - threadIdx.x];
    }
}

// One lane waits for its warp, and the warp does not synchronise afterwards.
extern "C" __global__ void lane_waits_for_warp(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ u32 tile[32];
    if (threadIdx.x == 0)
        gate_init(&gate, 32);
    __syncthreads();
    if (threadIdx.x < 32) {
        tile[threadIdx.x] = data[threadIdx.x];
        gate_arrive(&gate);
    } else {
        if (threadIdx.x == 32)
            gate_wait(&gate, 0);
        ORDERED(__syncwarp();)
        out[threadIdx.x - 32] = tile[63 - threadIdx.x];
    }
}

extern "C" __global__ void relaxed_arrival(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ u32 tile[32];
    if (threadIdx.x == 0)
        gate_init(&gate, 32);
    __syncthreads();
    if (threadIdx.x < 32) {
        tile[threadIdx.x] = data[threadIdx.x];
        RACY(gate_arrive_relaxed(&gate);)
        ORDERED(gate_arrive(&gate);)
    } else {
        gate_wait(&gate, 0);
        out[threadIdx.x - 32] = tile[63 - threadIdx.x];
    }
}

// The consumers say that the stage is free before they have read it.
extern "C" __global__ void pipeline_freed_early(u32* out, u32* data, u32* flags)
{
    __shared__ u64 full, empty;
    __shared__ u32 stage[32];
    if (threadIdx.x == 0) {
        gate_init(&full, 32);
        gate_init(&empty, 32);
    }
    __syncthreads();
    u32 sum = 0;
    for (u32 step = 0; step < 4; step++) {
        if (threadIdx.x < 32) {
            gate_wait(&empty, (step + 1) % 2);
            stage[threadIdx.x] = data[32 * step + threadIdx.x];
            gate_arrive(&full);
        } else {
            gate_wait(&full, step % 2);
            RACY(gate_arrive(&empty);)
            sum += stage[63 - threadIdx.x];
            ORDERED(gate_arrive(&empty);)
        }
    }
    if (threadIdx.x >= 32)
        out[threadIdx.x - 32] = sum;
}

// A plain load of a counter that others still update with atomics.
extern "C" __global__ void counter_read_early(u32* out, u32* data, u32* flags)
{
    __shared__ u32 count;
    if (threadIdx.x == 0)
        count = 0;
    __syncthreads();
    atomicAdd(&count, data[threadIdx.x]);
    ORDERED(__syncthreads();)
    out[threadIdx.x] = count;
}

// The flag is volatile, and what it announces is not ordered before it.
extern "C" __global__ void volatile_flag(u32* out, u32* data, u32* flags)
{
    __shared__ u32 value;
    __shared__ volatile u32 flag;
    if (threadIdx.x == 0)
        flag = 0;
    __syncthreads();
    if (threadIdx.x == 0) {
        value = data[0];
        ORDERED(__threadfence_block();)
        flag = 1;
    } else if (threadIdx.x == 32) {
        while (flag == 0) { }
        ORDERED(__threadfence_block();)
        out[0] = value;
    }
}

// The first warp sets a counter to zero and counts at once; nothing orders the zero before what the others count.
extern "C" __global__ void counter_started_late(u32* out, u32* data, u32* flags)
{
    __shared__ u32 count;
    if (threadIdx.x == 0)
        count = 0;
    ORDERED(__syncthreads();)
    if (threadIdx.x % 32 == 0)
        out[threadIdx.x] = atomicAdd(&count, 1);
}
