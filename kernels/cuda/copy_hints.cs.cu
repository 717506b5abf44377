// copy_hints: y = x, four 16-byte accesses per thread, streaming: both caches evict its lines first.
// Paired with ../ptx/copy_hints.ptx; shapes and launch are in ../pairs/copy_hints.py.

extern "C" __global__ void __launch_bounds__(256)
copy_hints(const uint4* __restrict__ x, uint4* __restrict__ y, unsigned vectors)
{
    const unsigned i = 1024 * blockIdx.x + threadIdx.x;
    x += i;                             // one address for each array: an index that may wrap needs one for each access
    y += i;

    if (i + 768 < vectors) {
        // All loads before the first store, because a load after a store may have to wait for it.
        const uint4 v0 = __ldcs(&x[0]);
        const uint4 v1 = __ldcs(&x[256]);
        const uint4 v2 = __ldcs(&x[512]);
        const uint4 v3 = __ldcs(&x[768]);
        __stcs(&y[0], v0);
        __stcs(&y[256], v1);
        __stcs(&y[512], v2);
        __stcs(&y[768], v3);
    } else {
#pragma unroll 1
        for (unsigned k = i; k < vectors; k += 256, x += 256, y += 256)     // the last CTA: up to three
            __stcs(&y[0], __ldcs(&x[0]));
    }
}
