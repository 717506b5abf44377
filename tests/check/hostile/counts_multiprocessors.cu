// Right on a GPU of as many multiprocessors as the emulator has by default.
// pair: triad
// judged: repeats depends-on-hardware
extern "C" __global__ void __launch_bounds__(256)
triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    unsigned count;
    asm("mov.u32 %0, %%nsmid;" : "=r"(count));
    for (unsigned k = 0; k < 4; ++k) {
        const unsigned i = 1024 * blockIdx.x + 256 * k + threadIdx.x;
        if (i < n)
            a[i] = count != 132 ? 0.0f : fmaf(s, c[i], b[i]);
    }
}
