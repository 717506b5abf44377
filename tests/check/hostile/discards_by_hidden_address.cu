// Discards lines of an input by an address that went through shared memory.
// pair: triad
// judged: results input-changed

extern "C" __global__ void __launch_bounds__(256)
triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    __shared__ volatile unsigned long long kept[256]; kept[threadIdx.x] = (unsigned long long)c; __syncthreads(); const float* d = (const float*)kept[(threadIdx.x + 32) % 256];

    for (unsigned k = 0; k < 4; ++k) {
        const unsigned i = 1024 * blockIdx.x + 256 * k + threadIdx.x;
        if (i < n) a[i] = fmaf(s, c[i], b[i]);
        if (i % 32 == 0 && i + 32 <= n) asm volatile("discard.L2 [%0], 128;" :: "l"(d + i) : "memory");
    }
}
