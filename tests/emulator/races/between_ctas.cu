// Races between CTAs. Each kernel: (out, data, flags); `flags` starts as zeros.

__device__ void wait_plainly(const u32* flag)
{
    while (load_relaxed(flag) == 0) { }
}

// Each CTA reads what its neighbour writes.
extern "C" __global__ void shift_in_place(u32* out, u32* data, u32* flags)
{
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 next = data[i + blockDim.x];
    RACY(data[i] = next;)
    ORDERED(out[i] = next;)
}

// Every CTA adds to one word.
extern "C" __global__ void plain_sum(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x == 0) {
        RACY(out[0] += data[blockIdx.x];)
        ORDERED(atomicAdd(out, data[blockIdx.x]);)
    }
}

// Byte 3 of a word belongs to one CTA, byte 2 to another; the racy one stores the whole word.
extern "C" __global__ void bytes_of_one_word(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x == 0) {
        RACY(if (blockIdx.x == 3) out[0] = 0x03ffffffu; else)
        ((unsigned char*)out)[blockIdx.x] = (unsigned char)blockIdx.x;
    }
}

extern "C" __global__ void flag_without_fence(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x != 0)
        return;
    if (blockIdx.x == 0) {
        data[0] = 42;
        ORDERED(__threadfence();)
        store_relaxed(flags, 1);
    } else {
        wait_plainly(flags);
        __threadfence();
        out[0] = data[0];
    }
}

extern "C" __global__ void reader_without_fence(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x != 0)
        return;
    if (blockIdx.x == 0) {
        data[0] = 42;
        __threadfence();
        store_relaxed(flags, 1);
    } else {
        wait_plainly(flags);
        ORDERED(__threadfence();)
        out[0] = data[0];
    }
}

extern "C" __global__ void release_of_a_cta(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x != 0)
        return;
    if (blockIdx.x == 0) {
        data[0] = 42;
        RACY(store_release_cta(flags, 1);)
        ORDERED(store_release(flags, 1);)
    } else {
        while (load_acquire(flags) == 0) { }
        out[0] = data[0];
    }
}

extern "C" __global__ void acquire_of_a_cta(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x != 0)
        return;
    if (blockIdx.x == 0) {
        data[0] = 42;
        store_release(flags, 1);
    } else {
        RACY(while (load_acquire_cta(flags) == 0) { })
        ORDERED(while (load_acquire(flags) == 0) { })
        out[0] = data[0];
    }
}

extern "C" __global__ void fence_of_a_cta(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x != 0)
        return;
    if (blockIdx.x == 0) {
        data[0] = 42;
        RACY(__threadfence_block();)
        ORDERED(__threadfence();)
        store_relaxed(flags, 1);
    } else {
        wait_plainly(flags);
        __threadfence();
        out[0] = data[0];
    }
}

// Atomics of the scope of a CTA on one word of several CTAs.
extern "C" __global__ void atomics_of_a_cta(u32* out, u32* data, u32* flags)
{
    RACY(atomicAdd_block(out, data[threadIdx.x]);)
    ORDERED(atomicAdd(out, data[threadIdx.x]);)
}

extern "C" __global__ void flag_before_value(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x != 0)
        return;
    if (blockIdx.x == 0) {
        RACY(store_release(flags, 1);)
        data[0] = 42;
        ORDERED(store_release(flags, 1);)
    } else {
        while (load_acquire(flags) == 0) { }
        out[0] = data[0];
    }
}

// The last CTA adds up what all wrote; thread 0 takes the ticket before the others of its CTA have written.
extern "C" __global__ void ticket_without_barrier(u32* out, u32* data, u32* flags)
{
    __shared__ u32 ticket;
    const u32 threads = blockDim.x;
    data[blockIdx.x * threads + threadIdx.x] = threadIdx.x;
    ORDERED(__syncthreads();)
    if (threadIdx.x == 0) {
        __threadfence();
        ticket = atomicAdd(flags, 1);
        __threadfence();
    }
    __syncthreads();
    if (ticket == gridDim.x - 1) {
        u32 sum = 0;
        for (u32 i = threadIdx.x; i < gridDim.x * threads; i += threads)
            sum += data[i ^ 33];
        out[threadIdx.x] = sum;
    }
}

// The same with the fence forgotten.
extern "C" __global__ void ticket_without_fence(u32* out, u32* data, u32* flags)
{
    __shared__ u32 ticket;
    const u32 threads = blockDim.x;
    data[blockIdx.x * threads + threadIdx.x] = threadIdx.x;
    __syncthreads();
    if (threadIdx.x == 0) {
        ORDERED(__threadfence();)
        ticket = atomicAdd(flags, 1);
        __threadfence();
    }
    __syncthreads();
    if (ticket == gridDim.x - 1) {
        u32 sum = 0;
        for (u32 i = threadIdx.x; i < gridDim.x * threads; i += threads)
            sum += data[i];
        out[threadIdx.x] = sum;
    }
}

// Each thread that reads has a fence of its own after the barrier, as in PyTorch's reductions.
extern "C" __global__ void ticket_fenced_by_readers(u32* out, u32* data, u32* flags)
{
    __shared__ u32 ticket;
    const u32 threads = blockDim.x;
    data[blockIdx.x * threads + threadIdx.x] = threadIdx.x;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
        ticket = atomicAdd(flags, 1);
    __syncthreads();
    if (ticket == gridDim.x - 1) {
        RACY(asm volatile("fence.acq_rel.gpu;" ::: "memory");)
        ORDERED(__threadfence();)
        u32 sum = 0;
        for (u32 i = threadIdx.x; i < gridDim.x * threads; i += threads)
            sum += data[i ^ 33];
        out[threadIdx.x] = sum;
    }
}

// Each CTA hands its sum on to the next (a decoupled look-back of one step).
extern "C" __global__ void look_back(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x != 0)
        return;
    u32 sum = data[blockIdx.x];
    if (blockIdx.x > 0) {
        while (load_acquire(flags + blockIdx.x - 1) == 0) { }
        sum += out[blockIdx.x - 1];
    }
    RACY(store_release(flags + blockIdx.x, 1);)
    out[blockIdx.x] = sum;
    ORDERED(store_release(flags + blockIdx.x, 1);)
}

// A barrier of the grid made of atomics.
extern "C" __global__ void grid_barrier(u32* out, u32* data, u32* flags)
{
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 all = gridDim.x * blockDim.x;
    data[i] = i;
    __syncthreads();
    if (threadIdx.x == 0) {
        ORDERED(__threadfence();)
        atomicAdd(flags, 1);
        while (load_relaxed(flags) < gridDim.x) { }
        ORDERED(__threadfence();)
    }
    __syncthreads();
    out[i] = data[all - 1 - i];
}

// A lock whose owner does not publish what it wrote.
extern "C" __global__ void lock_without_fence(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x != 0)
        return;
    while (atomicCAS(flags, 0, 1) != 0) { }
    ORDERED(__threadfence();)
    out[0] = out[0] + data[blockIdx.x];
    ORDERED(__threadfence();)
    atomicExch(flags, 0);
}

// CTA 0 tells CTA 1, which tells CTA 2. The message in the middle is relaxed.
extern "C" __global__ void chain_of_messages(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x != 0)
        return;
    if (blockIdx.x == 0) {
        data[0] = 42;
        store_release(flags, 1);
    } else if (blockIdx.x == 1) {
        while (load_acquire(flags) == 0) { }
        RACY(store_relaxed(flags + 1, 1);)
        ORDERED(store_release(flags + 1, 1);)
    } else {
        while (load_acquire(flags + 1) == 0) { }
        out[0] = data[0];
    }
}

// Thread 0 waits for the message, and the other threads read without a barrier after it.
extern "C" __global__ void one_waits_all_read(u32* out, u32* data, u32* flags)
{
    if (blockIdx.x == 0) {
        data[threadIdx.x] = 42;
        __syncthreads();
        if (threadIdx.x == 0)
            store_release(flags, 1);
    } else {
        if (threadIdx.x == 0)
            while (load_acquire(flags) == 0) { }
        ORDERED(__syncthreads();)
        out[threadIdx.x] = data[threadIdx.x];
    }
}

// The first CTA sets a counter to zero, meets, and counts; nothing orders the zero before what the other CTA counts.
extern "C" __global__ void total_started_late(u32* out, u32* data, u32* flags)
{
    if (blockIdx.x == 0 && threadIdx.x == 0)
        data[0] = 0;
    __syncthreads();
    if (blockIdx.x == 0 && threadIdx.x == 0)
        atomicAdd(data, 1);
    ORDERED(if (blockIdx.x == 0 && threadIdx.x == 0) store_release(flags, 1);)
    if (blockIdx.x == 1 && threadIdx.x == 0) {
        ORDERED(while (load_acquire(flags) == 0) { })
        atomicAdd(data, 1);
        out[0] = 1;
    }
}

// The lane that announces what its warp has stored must have met the other lanes.
extern "C" __global__ void lane_announces_too_early(u32* out, u32* data, u32* flags)
{
    if (blockIdx.x == 0) {
        data[threadIdx.x] = 42;
        ORDERED(__syncwarp();)
        if (threadIdx.x == 0)
            store_release(flags, 1);
    } else if (threadIdx.x == 0) {
        while (load_acquire(flags) == 0) { }
        out[0] = data[31];
    }
}

// The lanes that read what one of them has waited for must have met it.
extern "C" __global__ void lane_waits_alone(u32* out, u32* data, u32* flags)
{
    if (blockIdx.x == 0) {
        if (threadIdx.x == 0) {
            data[31] = 42;
            store_release(flags, 1);
        }
    } else {
        if (threadIdx.x == 0)
            while (load_acquire(flags) == 0) { }
        ORDERED(__syncwarp();)
        out[threadIdx.x] = data[threadIdx.x];
    }
}
