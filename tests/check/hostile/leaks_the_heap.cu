// Leaves a block of the heap allocated: after many launches there is none left.
// pair: triad
// judged: results heap-kept

extern "C" __global__ void __launch_bounds__(256)
triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    if (blockIdx.x == 0 && threadIdx.x == 0) { int* p = (int*)malloc(64); if (!p) return; *p = 1; }

    for (unsigned k = 0; k < 4; ++k) {
        const unsigned i = 1024 * blockIdx.x + 256 * k + threadIdx.x;
        if (i < n) a[i] = fmaf(s, c[i], b[i]);
    }
}
