// sm_partition: the first CTAs copy source to target, the others compute tiles of result, all at the same time.
// Paired with ../ptx/sm_partition.ptx; shapes and launch are in ../pairs/sm_partition.py.

// The next number of a ticket, the same for every thread of the CTA.
__device__ unsigned draw(unsigned* ticket)
{
    __shared__ unsigned drawn;
    __syncthreads();                    // all have read the last number and done what it stood for
    if (threadIdx.x == 0)
        drawn = atomicAdd(ticket, 1);
    __syncthreads();
    return drawn;
}

// Vectors i, i + 256, ... before end: four loads before the first store, while there are four.
__device__ void copy(const uint4* __restrict__ source, uint4* __restrict__ target, unsigned i, unsigned end)
{
    for (; i + 768 < end; i += 1024) {
        const uint4 v0 = __ldcs(&source[i]);
        const uint4 v1 = __ldcs(&source[i + 256]);
        const uint4 v2 = __ldcs(&source[i + 512]);
        const uint4 v3 = __ldcs(&source[i + 768]);
        __stcs(&target[i], v0);
        __stcs(&target[i + 256], v1);
        __stcs(&target[i + 512], v2);
        __stcs(&target[i + 768], v3);
    }
    for (; i < end; i += 256)
        __stcs(&target[i], __ldcs(&source[i]));
}

// steps times the outer product of u and v, in 16 sums of which none waits for another; then the sum of them all.
__device__ float multiply(float4 u, float4 v, unsigned steps)
{
    const float rows[4] = {u.x, u.y, u.z, u.w};
    const float columns[4] = {v.x, v.y, v.z, v.w};
    float sums[4][4] = {};
    for (unsigned step = 0; step < steps; ++step)
        for (unsigned r = 0; r < 4; ++r)
            for (unsigned c = 0; c < 4; ++c)
                sums[r][c] = fmaf(rows[r], columns[c], sums[r][c]);

    float row_sums[4];
    for (unsigned r = 0; r < 4; ++r)
        row_sums[r] = (sums[r][0] + sums[r][1]) + (sums[r][2] + sums[r][3]);
    return (row_sums[0] + row_sums[1]) + (row_sums[2] + row_sums[3]);
}

extern "C" __global__ void __launch_bounds__(256)
sm_partition(const uint4* __restrict__ source, uint4* __restrict__ target, const float4* __restrict__ table,
             float* __restrict__ result, unsigned* tickets, unsigned long long* clocks, unsigned* taken,
             unsigned vectors, unsigned chunk, unsigned chunks, unsigned tiles, unsigned panels, unsigned steps,
             unsigned copiers, unsigned roles)
{
    const unsigned thread = threadIdx.x;
    const unsigned role = blockIdx.x < copiers ? 1 : 2;     // a bit of roles
    if (!(roles & role))
        return;
    if (thread == 0) {
        taken[blockIdx.x] = role;
        clocks[2 * blockIdx.x] = clock64();
    }

    if (role == 1) {
        for (unsigned number; (number = draw(&tickets[0])) < chunks;) {
            const unsigned first = number * chunk;
            copy(source, target, first + thread, first + min(chunk, vectors - first));
        }
    } else {
        for (unsigned number; (number = draw(&tickets[32])) < tiles;) {     // in a cache line of its own
            const float4* panel = &table[512 * (number & (panels - 1)) + thread];      // panels is a power of two
            result[256 * number + thread] = multiply(panel[0], panel[256], steps);
        }
    }

    if (thread == 0)
        clocks[2 * blockIdx.x + 1] = clock64();
}
