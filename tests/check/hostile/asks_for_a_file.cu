// Asks whether a file is there.
// pair: triad
// judged: parses bad-include
#if __has_include("/etc/shadow")
#define THERE 1
#endif

extern "C" __global__ void __launch_bounds__(256)
triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    for (unsigned k = 0; k < 4; ++k) {
        const unsigned i = 1024 * blockIdx.x + 256 * k + threadIdx.x;
        if (i < n)
            a[i] = fmaf(s, c[i], b[i]);
    }
}
