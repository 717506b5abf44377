// Wastes what it likes, and is right: sleeps, allocates and prefetches what is in no array.
// pair: triad
// judged: accepted

extern "C" __global__ void __launch_bounds__(256)
triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    if (n > 100000000) __nanosleep(100);
    if (blockIdx.x == 0 && threadIdx.x == 0) free(malloc(16));
    asm volatile("prefetch.global.L2 [%0];" :: "l"(b + n + 1000000 + threadIdx.x));
    for (unsigned k = 0; k < 4; ++k) {
        const unsigned i = 1024 * blockIdx.x + 256 * k + threadIdx.x;
        if (i < n) a[i] = fmaf(s, c[i], b[i]);
    }
}
