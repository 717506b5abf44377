// Right in the first launch alone.
// pair: triad
// judged: lint writable-module-state
__device__ unsigned char seen[131072];

extern "C" __global__ void __launch_bounds__(256)
triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    for (unsigned k = 0; k < 4; ++k) {
        const unsigned i = 1024 * blockIdx.x + 256 * k + threadIdx.x;
        if (i < n)
            a[i] = seen[i] ? 0.0f : fmaf(s, c[i], b[i]), seen[i] = 1;
    }
}
