// Discards lines of the output after it has written them.
// pair: triad
// judged: results wrong-result

extern "C" __global__ void __launch_bounds__(256)
triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    for (unsigned k = 0; k < 4; ++k) {
        const unsigned i = 1024 * blockIdx.x + 256 * k + threadIdx.x;
        if (i < n) a[i] = fmaf(s, c[i], b[i]);
        __syncwarp();
        if (i % 32 == 0 && i + 32 <= n) asm volatile("discard.L2 [%0], 128;" :: "l"(a + i) : "memory");
    }
}
