// Misuse of mbarriers. Each kernel: (out, data, flags), one CTA.

__device__ __forceinline__ void gate_end(u64* gate)
{
    asm volatile("mbarrier.inval.shared.b64 [%0];" ::"r"(shared_address(gate)) : "memory");
}

extern "C" __global__ void start_without_meeting(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    if (threadIdx.x == 0)
        gate_init(&gate, 64);
    ORDERED(__syncthreads();)
    gate_arrive(&gate);
    gate_wait(&gate, 0);
    out[threadIdx.x] = threadIdx.x + 1;
}

extern "C" __global__ void started_again(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    for (u32 round = 0; round < 2; round++) {
        if (threadIdx.x == 0)
            gate_init(&gate, 64);
        __syncthreads();
        gate_arrive(&gate);
        gate_wait(&gate, 0);
        __syncthreads();
        ORDERED(if (threadIdx.x == 0) gate_end(&gate);)
    }
    out[threadIdx.x] = threadIdx.x + 1;
}

extern "C" __global__ void ended_in_use(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    if (threadIdx.x == 0)
        gate_init(&gate, 64);
    __syncthreads();
    gate_arrive(&gate);
    gate_wait(&gate, 0);
    ORDERED(__syncthreads();)
    if (threadIdx.x == 0)
        gate_end(&gate);
    out[threadIdx.x] = threadIdx.x + 1;
}

// The phase expects one of two copies, or none of both.
extern "C" __global__ void too_few_bytes(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ alignas(16) u32 tile[64];
    if (threadIdx.x == 0)
        gate_init(&gate, 1);
    gate_fence();
    __syncthreads();
    if (threadIdx.x == 0) {
        RACY(gate_expect(&gate, 128);)
        ORDERED(gate_expect(&gate, 256);)
        copy_bulk(tile, data, 128, &gate);
        copy_bulk(tile + 32, data + 32, 128, &gate);
    }
    gate_wait(&gate, 0);
    out[threadIdx.x] = tile[threadIdx.x];
}
extern "C" __global__ void no_bytes(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    __shared__ alignas(16) u32 tile[64];
    if (threadIdx.x == 0)
        gate_init(&gate, 1);
    gate_fence();
    __syncthreads();
    if (threadIdx.x == 0) {
        copy_bulk(tile, data, 256, &gate);
        RACY(gate_arrive(&gate);)
        ORDERED(gate_expect(&gate, 256);)
    }
    gate_wait(&gate, 0);
    out[threadIdx.x] = tile[threadIdx.x];
}

// Two lanes of each warp arrive where one is counted, or one lane that does not wait for the other warp: phases end
// before both warps have arrived.
extern "C" __global__ void too_many_arrivals(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    if (threadIdx.x == 0)
        gate_init(&gate, 2);
    __syncthreads();
    RACY(if (threadIdx.x % 32 < 2))
    ORDERED(if (threadIdx.x % 32 < 1))
        gate_arrive(&gate);
    RACY(gate_wait(&gate, 1);)
    ORDERED(gate_wait(&gate, 0);)
    out[threadIdx.x] = threadIdx.x + 1;
}
extern "C" __global__ void second_arrival_without_a_wait(u32* out, u32* data, u32* flags)
{
    __shared__ u64 gate;
    if (threadIdx.x == 0)
        gate_init(&gate, 2);
    __syncthreads();
    if (threadIdx.x % 32 == 0) {
        gate_arrive(&gate);
        ORDERED(gate_wait(&gate, 0);)
        gate_arrive(&gate);
    }
    gate_wait(&gate, 1);
    out[threadIdx.x] = threadIdx.x + 1;
}
