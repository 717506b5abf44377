// copy_hints.gather: y[r] = x[r * step], records of 32 bytes, two lanes per record, without a hint.
// Paired with ../ptx/copy_hints.gather.ptx; shapes and launch are in ../pairs/copy_hints.gather.py.

extern "C" __global__ void __launch_bounds__(256)
copy_hints_gather(const uint4* __restrict__ x, uint4* __restrict__ y, unsigned vectors, unsigned step)
{
    const unsigned i = 1024 * blockIdx.x + threadIdx.x;
    const size_t stride = 256 * static_cast<size_t>(step);
    const uint4* const x0 = x + (i / 2 * 2 * step + i % 2);     // a record has two vectors
    const uint4* const x1 = x0 + stride;
    const uint4* const x2 = x1 + stride;
    const uint4* const x3 = x2 + stride;
    y += i;

    if (i + 768 < vectors) {
        // All loads before the first store, because a load after a store may have to wait for it.
        const uint4 v0 = *x0;
        const uint4 v1 = *x1;
        const uint4 v2 = *x2;
        const uint4 v3 = *x3;
        y[0] = v0;
        y[256] = v1;
        y[512] = v2;
        y[768] = v3;
    } else {                            // the last CTA: up to three
        if (i < vectors)
            y[0] = *x0;
        if (i + 256 < vectors)
            y[256] = *x1;
        if (i + 512 < vectors)
            y[512] = *x2;
    }
}
