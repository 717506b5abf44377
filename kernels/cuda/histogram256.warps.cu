// histogram256: bins[v] += the number of bytes v in x, counted in shared memory first, separately by each warp.
// Paired with ../ptx/histogram256.ptx; shapes and launch are in ../pairs/histogram256.py.

__device__ void count_bytes(unsigned (*counts)[256], unsigned own, unsigned word)
{
    // Four times a byte, its counter's offset in bytes from `own`: one dot product instead of a shift and a mask.
    char* const first = reinterpret_cast<char*>(counts);
    atomicAdd(reinterpret_cast<unsigned*>(first + __dp4a(word, 0x4u, own)), 1);
    atomicAdd(reinterpret_cast<unsigned*>(first + __dp4a(word, 0x400u, own)), 1);
    atomicAdd(reinterpret_cast<unsigned*>(first + __dp4a(word, 0x40000u, own)), 1);
    atomicAdd(reinterpret_cast<unsigned*>(first + __dp4a(word, 0x4000000u, own)), 1);
}

extern "C" __global__ void __launch_bounds__(256)
histogram256(const unsigned char* __restrict__ x, unsigned* bins, unsigned n)
{
    __shared__ unsigned counts[8][256];
    const unsigned thread = threadIdx.x;

    for (unsigned k = 0; k < 8; ++k)
        counts[k][thread] = 0;
    __syncthreads();

    const unsigned own = 1024 * (thread / 32);      // the offset of the warp's counters, in bytes
    for (unsigned tile = blockIdx.x; tile < n / 16384; tile += gridDim.x) {
        const uint4* const from = reinterpret_cast<const uint4*>(x) + 1024 * static_cast<size_t>(tile) + thread;
        const uint4 v[4] = {from[0], from[256], from[512], from[768]};
        for (unsigned k = 0; k < 4; ++k) {
            count_bytes(counts, own, v[k].x);
            count_bytes(counts, own, v[k].y);
            count_bytes(counts, own, v[k].z);
            count_bytes(counts, own, v[k].w);
        }
    }
    for (unsigned i = n / 16384 * 16384 + 256 * blockIdx.x + thread; i < n; i += 256 * gridDim.x)
        atomicAdd(&counts[thread / 32][x[i]], 1);    // bytes after the last whole tile
    __syncthreads();

    unsigned count = 0;
    for (unsigned k = 0; k < 8; ++k)
        count += counts[k][thread];
    atomicAdd(&bins[thread], count);
}
