// histogram256: bins[v] += the number of bytes v in x, counted in shared memory first.
// Paired with ../ptx/histogram256.ptx; shapes and launch are in ../pairs/histogram256.py.

__device__ void count_bytes(unsigned* counts, unsigned word)
{
    // Four times a byte is the offset of its counter in bytes: one dot product instead of a shift and a mask.
    char* const first = reinterpret_cast<char*>(counts);
    atomicAdd(reinterpret_cast<unsigned*>(first + __dp4a(word, 0x4u, 0u)), 1);
    atomicAdd(reinterpret_cast<unsigned*>(first + __dp4a(word, 0x400u, 0u)), 1);
    atomicAdd(reinterpret_cast<unsigned*>(first + __dp4a(word, 0x40000u, 0u)), 1);
    atomicAdd(reinterpret_cast<unsigned*>(first + __dp4a(word, 0x4000000u, 0u)), 1);
}

extern "C" __global__ void __launch_bounds__(256)
histogram256(const unsigned char* __restrict__ x, unsigned* bins, unsigned n)
{
    __shared__ unsigned counts[256];
    const unsigned thread = threadIdx.x;

    counts[thread] = 0;
    __syncthreads();

    for (unsigned tile = blockIdx.x; tile < n / 16384; tile += gridDim.x) {
        const uint4* const from = reinterpret_cast<const uint4*>(x) + 1024 * static_cast<size_t>(tile) + thread;
        const uint4 v[4] = {from[0], from[256], from[512], from[768]};
        for (unsigned k = 0; k < 4; ++k) {
            count_bytes(counts, v[k].x);
            count_bytes(counts, v[k].y);
            count_bytes(counts, v[k].z);
            count_bytes(counts, v[k].w);
        }
    }
    for (unsigned i = n / 16384 * 16384 + 256 * blockIdx.x + thread; i < n; i += 256 * gridDim.x)
        atomicAdd(&counts[x[i]], 1);    // bytes after the last whole tile
    __syncthreads();

    atomicAdd(&bins[thread], counts[thread]);
}
