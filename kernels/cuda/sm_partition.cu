// sm_partition: the first CTAs copy source to target, the others compute tiles of result, all at the same time.
// Paired with ../ptx/sm_partition.ptx; shapes and launch are in ../pairs/sm_partition.py.

// The ticket that thread 0 drew, for every thread of the CTA. Two places alternate: a slow thread may still read the
// last number while the next one is written, so that one barrier per number is enough.
__device__ unsigned share(unsigned next, unsigned turn)
{
    __shared__ unsigned drawn[2];
    if (threadIdx.x == 0)
        drawn[turn] = next;
    __syncthreads();
    return drawn[turn];
}

// Vectors i, i + 256, ... before end: four loads before the first store, as long as there are four.
__device__ void copy(const uint4* __restrict__ source, uint4* __restrict__ target, unsigned i, unsigned end)
{
    for (; i + 768 < end; i += 1024) {
        const uint4* from = source + i;     // not source[i + 256]: the sum could wrap, and would be computed again
        uint4* to = target + i;
        const uint4 v0 = __ldcs(from);
        const uint4 v1 = __ldcs(from + 256);
        const uint4 v2 = __ldcs(from + 512);
        const uint4 v3 = __ldcs(from + 768);
        __stcs(to, v0);
        __stcs(to + 256, v1);
        __stcs(to + 512, v2);
        __stcs(to + 768, v3);
    }
#pragma unroll 1
    for (; i < end; i += 256)               // three rounds at most
        __stcs(target + i, __ldcs(source + i));
}

// For each of depth panels, adds steps times the outer product of two float4 to 16 independent sums; returns the sum of
// them all. wrap is one less than the panels of the table, a power of two.
__device__ float multiply(const float4* __restrict__ table, unsigned panel, unsigned wrap, unsigned depth,
                          unsigned steps)
{
    float sums[4][4] = {};
#pragma unroll 1
    for (const unsigned end = panel + depth; panel != end; ++panel) {
        const float4 u = table[512 * (panel & wrap)];
        const float4 v = table[512 * (panel & wrap) + 256];
        const float rows[4] = {u.x, u.y, u.z, u.w};
        const float columns[4] = {v.x, v.y, v.z, v.w};
        for (unsigned step = 0; step < steps; ++step)
            for (unsigned r = 0; r < 4; ++r)
                for (unsigned c = 0; c < 4; ++c)
                    sums[r][c] = fmaf(rows[r], columns[c], sums[r][c]);
    }

    float row_sums[4];
    for (unsigned r = 0; r < 4; ++r)
        row_sums[r] = (sums[r][0] + sums[r][1]) + (sums[r][2] + sums[r][3]);
    return (row_sums[0] + row_sums[1]) + (row_sums[2] + row_sums[3]);
}

extern "C" __global__ void __launch_bounds__(256)
sm_partition(const uint4* __restrict__ source, uint4* __restrict__ target, const float4* __restrict__ table,
             float* __restrict__ result, unsigned* tickets, unsigned long long* clocks, unsigned* taken,
             unsigned vectors, unsigned chunk, unsigned chunks, unsigned tiles, unsigned panels, unsigned depth,
             unsigned steps, unsigned copiers, unsigned roles)
{
    const unsigned thread = threadIdx.x;
    const unsigned role = blockIdx.x < copiers ? 1 : 2;     // a bit of roles
    if (thread == 0)
        taken[blockIdx.x] = role;       // also for CTAs that then return
    if (!(roles & role))
        return;
    if (thread == 0)
        clocks[2 * blockIdx.x] = clock64();

    // Thread 0 draws the next number while the current one is being processed. Each ticket has its own cache line.
    unsigned* ticket = &tickets[role == 1 ? 0 : 32];
    unsigned next = thread == 0 ? atomicAdd(ticket, 1) : 0;
    if (role == 1) {
        for (unsigned number, turn = 0; (number = share(next, turn)) < chunks; turn ^= 1) {
            if (thread == 0)
                next = atomicAdd(ticket, 1);
            const unsigned first = number * chunk;
            copy(source, target, first + thread, first + min(chunk, vectors - first));
        }
    } else {
        for (unsigned number, turn = 0; (number = share(next, turn)) < tiles; turn ^= 1) {
            if (thread == 0)
                next = atomicAdd(ticket, 1);
            result[256 * number + thread] = multiply(&table[thread], number * depth, panels - 1, depth, steps);
        }
    }

    if (thread == 0)
        clocks[2 * blockIdx.x + 1] = clock64();
}
