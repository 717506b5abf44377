// histogram256: bins[v] += the number of bytes v in x, counted in shared memory first; each byte by a shift and a mask.
// Paired with ../ptx/histogram256.ptx; shapes and launch are in ../pairs/histogram256.py.

__device__ void count_bytes(unsigned* counts, unsigned word)
{
    atomicAdd(&counts[word & 255], 1);
    atomicAdd(&counts[word >> 8 & 255], 1);
    atomicAdd(&counts[word >> 16 & 255], 1);
    atomicAdd(&counts[word >> 24], 1);
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
