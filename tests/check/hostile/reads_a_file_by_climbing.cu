// The same, by a path out of the folder of the headers.
// pair: triad
// judged: parses bad-include
#include <crt/../../../../../../../../../etc/passwd>

extern "C" __global__ void __launch_bounds__(256)
triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    for (unsigned k = 0; k < 4; ++k) {
        const unsigned i = 1024 * blockIdx.x + 256 * k + threadIdx.x;
        if (i < n)
            a[i] = fmaf(s, c[i], b[i]);
    }
}
