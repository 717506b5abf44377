// copy_hints.beside: y[i] = x[i] + table[hash(x)], a stream and a table, the stream evicted first from the caches.
// Paired with ../ptx/copy_hints.beside.ptx; shapes and launch are in ../pairs/copy_hints.beside.py.

__device__ uint4 sum(uint4 a, uint4 b)
{
    return make_uint4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

extern "C" __global__ void __launch_bounds__(256)
copy_hints_beside(const uint4* __restrict__ x, const uint4* __restrict__ table, uint4* __restrict__ y,
                  unsigned vectors, unsigned rows)
{
    const unsigned i = 1024 * blockIdx.x + threadIdx.x;
    x += i;
    y += i;

    if (i + 768 < vectors) {
        // All loads before the first store, because a load after a store may have to wait for it.
        const uint4 v0 = __ldcs(&x[0]);
        const uint4 v1 = __ldcs(&x[256]);
        const uint4 v2 = __ldcs(&x[512]);
        const uint4 v3 = __ldcs(&x[768]);
        const uint4 t = table[__umulhi(v0.x, rows)];
        __stcs(&y[0], sum(v0, t));
        __stcs(&y[256], sum(v1, t));
        __stcs(&y[512], sum(v2, t));
        __stcs(&y[768], sum(v3, t));
    } else if (i < vectors) {
        const uint4 t = table[__umulhi(__ldcs(&x[0]).x, rows)];
#pragma unroll 1
        for (unsigned k = i; k < vectors; k += 256, x += 256, y += 256)     // the last CTA: up to three
            __stcs(&y[0], sum(__ldcs(&x[0]), t));
    }
}
