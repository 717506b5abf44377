// Takes an index from a division that may be off by two units in the last place, and so one too low.
// pair: triad
// judged: repeats depends-on-hardware
extern "C" __global__ void __launch_bounds__(256)
triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    for (unsigned k = 0; k < 4; ++k) {
        const unsigned i = 1024 * blockIdx.x + 256 * k + threadIdx.x;
        const unsigned j = i - threadIdx.x + (unsigned)__fdividef(3.0f * threadIdx.x, 3.0f);
        if (i < n)
            a[i] = fmaf(s, c[j], b[j]);
    }
}
