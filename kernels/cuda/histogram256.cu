// histogram256: bins[v] += how often byte v occurs in x, counted in shared memory first.
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
    const unsigned first = 256 * blockIdx.x + thread;

    counts[thread] = 0;
    __syncthreads();

    for (unsigned i = first; i < n / 16; i += 256 * gridDim.x) {
        const uint4 v = reinterpret_cast<const uint4*>(x)[i];
        count_bytes(counts, v.x);
        count_bytes(counts, v.y);
        count_bytes(counts, v.z);
        count_bytes(counts, v.w);
    }
    if (first < n % 16)                 // the grid's first threads also take the last 0 to 15 bytes
        atomicAdd(&counts[x[n - 1 - first]], 1);
    __syncthreads();

    atomicAdd(&bins[thread], counts[thread]);
}
