// Warps and CTAs: shuffles, votes, matches, reductions, partial masks, barriers that count.

#define OUT extern "C" __global__ void
#define ALL 0xffffffffu

OUT scans(const int* x, int* inclusive, double* butterfly)
{
    const int lane = threadIdx.x & 31, i = threadIdx.x;
    int sum = x[i];
    for (int offset = 1; offset < 32; offset *= 2) {
        const int other = __shfl_up_sync(ALL, sum, offset);
        if (lane >= offset)
            sum += other;
    }
    inclusive[i] = sum;
    double d = x[i] * 0.5;
    for (int offset = 16; offset; offset /= 2)
        d += __shfl_xor_sync(ALL, d, offset);               // 64 bits: two shuffles
    butterfly[i] = d;
}

OUT shuffles(const int* x, int* out, short* halves)
{
    const int i = threadIdx.x, n = blockDim.x;
    const int v = x[i];
    out[i] = __shfl_sync(ALL, v, 5);
    out[n + i] = __shfl_sync(ALL, v, i + 3, 8);             // in segments of 8
    out[2 * n + i] = __shfl_down_sync(ALL, v, 3, 16);
    out[3 * n + i] = __shfl_up_sync(ALL, v, 2, 4);
    out[4 * n + i] = __shfl_xor_sync(ALL, v, 9, 16);
    out[5 * n + i] = __shfl_sync(ALL, v, v);                // any lane, modulo 32
    halves[i] = __shfl_down_sync(ALL, static_cast<short>(v), 1);
}

OUT compaction(const int* x, int* kept, unsigned* votes)
{
    const int i = threadIdx.x, lane = i & 31;
    const bool wanted = x[i] % 3 == 0;
    const unsigned mask = __ballot_sync(ALL, wanted);
    unsigned below;
    asm("mov.u32 %0, %%lanemask_lt;" : "=r"(below));
    if (wanted)
        kept[32 * (i / 32) + __popc(mask & below)] = x[i];
    if (lane == 0) {
        votes[4 * (i / 32)] = mask;
        votes[4 * (i / 32) + 1] = __popc(mask);
    }
    const int any = __any_sync(ALL, x[i] > 95), all = __all_sync(ALL, x[i] < 99);
    if (lane == 31) {
        votes[4 * (i / 32) + 2] = any;
        votes[4 * (i / 32) + 3] = all;
    }
}

OUT matches(const int* x, const long long* y, unsigned* any, unsigned* all, int* predicates)
{
    const int i = threadIdx.x, n = blockDim.x;
    any[i] = __match_any_sync(ALL, x[i]);
    any[n + i] = __match_any_sync(ALL, y[i]);
    int same;
    all[i] = __match_all_sync(ALL, x[i] >= 0, &same);
    predicates[i] = same;
    all[n + i] = __match_all_sync(ALL, y[i / 32 * 32], &same);
    predicates[n + i] = same;
}

OUT reductions(const int* x, int* out)
{
#if __CUDA_ARCH__ >= 800
    const int i = threadIdx.x, n = blockDim.x;
    const unsigned u = x[i];
    const int results[] = {__reduce_add_sync(ALL, x[i]), __reduce_min_sync(ALL, x[i]), __reduce_max_sync(ALL, x[i]),
                           int(__reduce_min_sync(ALL, u)), int(__reduce_and_sync(ALL, u | 0x100)),
                           int(__reduce_or_sync(ALL, u)), int(__reduce_xor_sync(ALL, u))};
#pragma unroll
    for (int k = 0; k < 7; ++k)
        out[k * n + i] = results[k];
#endif
}

OUT partial_masks(const int* x, int* out)                   // each half of a divergent warp works on its own
{
    const int i = threadIdx.x, lane = i & 31;
    __shared__ int slots[64];
    int sum = x[i];
    if (lane < 12) {
        const unsigned mask = 0xfff;
        for (int offset = 1; offset < 12; offset *= 2) {
            const int other = __shfl_up_sync(mask, sum, offset);
            if (lane >= offset)
                sum += other;
        }
        slots[i] = sum;
        __syncwarp(mask);
        sum = slots[i / 32 * 32 + 11];
    } else {
        const unsigned mask = ~0xfffu;
        sum = __popc(__ballot_sync(mask, sum & 1));
        __syncwarp(mask);
        if (lane & 1)
            sum += __shfl_sync(__activemask(), lane, 13);
    }
    __syncwarp();
    out[i] = sum + __shfl_sync(ALL, sum, 0);
}

OUT counting_barriers(const int* x, int* out)
{
    const int i = threadIdx.x, n = blockDim.x;
    out[i] = __syncthreads_count(x[i] > 50);
    out[n + i] = __syncthreads_and(x[i] >= 0) != 0;
    out[2 * n + i] = __syncthreads_or(x[i] == 1000) != 0;
    out[3 * n + i] = __syncthreads_or(x[i] == x[7]) != 0;
}

OUT block_sums(const float* x, float* sums)                 // shuffles, shared memory, shuffles again
{
    __shared__ float of_warp[32];
    const int lane = threadIdx.x & 31, warp = threadIdx.x / 32;
    float sum = x[blockIdx.x * blockDim.x + threadIdx.x];
    for (int offset = 16; offset; offset /= 2)
        sum += __shfl_down_sync(ALL, sum, offset);
    if (lane == 0)
        of_warp[warp] = sum;
    __syncthreads();
    if (warp == 0) {
        sum = lane < blockDim.x / 32 ? of_warp[lane] : 0.0f;
        for (int offset = 16; offset; offset /= 2)
            sum += __shfl_down_sync(ALL, sum, offset);
        if (lane == 0)
            sums[blockIdx.x] = sum;
    }
}

OUT identities(unsigned* out)
{
    const int i = blockIdx.x * blockDim.x * blockDim.y + threadIdx.y * blockDim.x + threadIdx.x;
    unsigned lane, warp, le, gt;
    asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
    asm volatile("mov.u32 %0, %%warpid;" : "=r"(warp));
    asm("mov.u32 %0, %%lanemask_le;" : "=r"(le));
    asm("mov.u32 %0, %%lanemask_gt;" : "=r"(gt));
    out[4 * i] = lane;
    out[4 * i + 1] = warp;
    out[4 * i + 2] = le ^ gt;
    out[4 * i + 3] = __popc(le);
}
