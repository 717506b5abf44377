// Discards lines of an input in a function, at sizes that no check has.
// pair: triad
// judged: lint discards-input

__device__ __noinline__ void drop(const float* p) { asm volatile("discard.L2 [%0], 128;" :: "l"(p) : "memory"); }
extern "C" __global__ void __launch_bounds__(256)
triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    for (unsigned k = 0; k < 4; ++k) {
        const unsigned i = 1024 * blockIdx.x + 256 * k + threadIdx.x;
        if (i < n) a[i] = fmaf(s, c[i], b[i]);
        if (n > 100000000 && i % 32 == 0 && i + 32 <= n) drop(c + i);
    }
}
