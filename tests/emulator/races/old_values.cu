// Values that CTAs exchange by volatile accesses, which are no races. Each kernel: (out, data, flags); `data` and `flags`
// start as zeros. One thread of each CTA runs, except where all threads of a CTA add up.

// Not fence.sc, which orders others too.
__device__ void fence() { asm volatile("fence.acq_rel.gpu;" ::: "memory"); }

// A lock: the next owner may not see what the last one stored.
extern "C" __global__ void lock(volatile u32* out, volatile u32* data, u32* flags)
{
    if (threadIdx.x != 0)
        return;
    for (u32 k = 0; k < 5; k++) {
        while (atomicCAS(flags, 0, 1) != 0) { }
        __threadfence();
        data[0] = data[0] + 1;
        data[1] = data[1] + data[0];
        ORDERED(__threadfence();)
        atomicExch(flags, 0);
    }
    __threadfence();
    if (atomicAdd(flags + 1, 1) == gridDim.x - 1) {
        __threadfence();
        out[0] = data[0];
        out[1] = data[1];
    }
}

// Two CTAs take turns.
extern "C" __global__ void in_turns(volatile u32* out, volatile u32* data, volatile u32* flags)
{
    if (threadIdx.x != 0 || blockIdx.x > 1)
        return;
    for (u32 k = 0; k < 6; k++) {
        if (blockIdx.x != k % 2)
            continue;
        while (flags[0] != k) { }
        ORDERED(__threadfence();)
        data[k % 2] = data[1 - k % 2] * 3 + 1;
        __threadfence();
        flags[0] = k + 1;
    }
    if (blockIdx.x == 1)
        out[0] = data[1];
}

// Two words that belong together, with a number that is odd while they change.
extern "C" __global__ void numbered(volatile u32* out, volatile u32* data, volatile u32* flags)
{
    if (threadIdx.x != 0)
        return;
    if (blockIdx.x == 0) {
        for (u32 k = 1; k <= 4; k++) {
            flags[0] = 2 * k - 1;
            __threadfence();
            data[0] = k;
            data[1] = 10 * k;
            ORDERED(__threadfence();)
            flags[0] = 2 * k;
        }
    } else {
        u32 a, b, before, after;
        do {
            before = flags[0];
            __threadfence();
            a = data[0];
            b = data[1];
            __threadfence();
            after = flags[0];
        } while (before != after || before != 8);
        out[2 * blockIdx.x] = a;
        out[2 * blockIdx.x + 1] = b;
    }
}

// Producers take a slot, fill it, and say that it is full.
extern "C" __global__ void queue(volatile u32* out, volatile u32* data, u32* flags)
{
    volatile u32* full = flags + 1;
    if (threadIdx.x != 0)
        return;
    if (blockIdx.x > 0) {
        for (u32 k = 0; k < 3; k++) {
            const u32 slot = atomicAdd(flags, 1);
            data[slot] = blockIdx.x * 100 + k;
            ORDERED(__threadfence();)
            full[slot] = 1;
        }
    } else {
        u32 sum = 0;
        for (u32 slot = 0; slot < 3 * (gridDim.x - 1); slot++) {
            while (full[slot] == 0) { }
            __threadfence();
            sum += data[slot];
        }
        out[0] = sum;
    }
}

// A barrier of the grid, several rounds.
extern "C" __global__ void rounds(volatile u32* out, volatile u32* data, u32* flags)
{
    const u32 all = gridDim.x * blockDim.x, i = blockIdx.x * blockDim.x + threadIdx.x;
    u32 x = i;
    for (u32 round = 1; round <= 3; round++) {
        volatile u32* row = data + round % 2 * all;
        row[i] = x;
        __syncthreads();
        if (threadIdx.x == 0) {
            ORDERED(__threadfence();)
            atomicAdd(flags, 1);
            while (*(volatile u32*)flags < round * gridDim.x) { }
            fence();
        }
        __syncthreads();
        x = row[(i + blockDim.x + 1) % all] + 1;
    }
    out[i] = x;
}

// The last CTA reads what the others have added up.
extern "C" __global__ void last_reads_sums(u32* out, u32* data, u32* flags)
{
    __shared__ bool is_last;
    atomicAdd(data + threadIdx.x, blockIdx.x);
    __syncthreads();
    if (threadIdx.x == 0) {
        ORDERED(__threadfence();)
        is_last = atomicAdd(flags, 1) == gridDim.x - 1;
        fence();
    }
    __syncthreads();
    if (is_last)
        out[threadIdx.x] = *(volatile u32*)(data + threadIdx.x);
}

// The last CTA reads the total to which all CTAs, itself too, have added.
extern "C" __global__ void last_reads_total(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x != 0)
        return;
    atomicAdd(data, blockIdx.x + 1);
    ORDERED(__threadfence();)
    if (atomicAdd(flags, 1) == gridDim.x - 1) {
        fence();
        out[0] = atomicAdd(data, 0);
    }
}

// The last CTA reads two totals; only the second one is that of an atomic before the ticket.
extern "C" __global__ void last_reads_two_totals(u32* out, u32* data, u32* flags)
{
    if (threadIdx.x != 0)
        return;
    atomicAdd(data, blockIdx.x + 1);
    atomicAdd(data + 1, 1);
    ORDERED(__threadfence();)
    if (atomicAdd(flags, 1) == gridDim.x - 1) {
        fence();
        out[0] = atomicAdd(data, 0);
    }
}
