// l2_policy: y[i] = x[i] + a row of a table, chosen by a hash of i / 32: without a hint.
// Paired with ../ptx/l2_policy.ptx; shapes and launch are in ../pairs/l2_policy.py.

// The row of 32 elements that is added to elements 32 * group to 32 * group + 31. The high bits of the hash select it.
__device__ unsigned row_of(unsigned group, unsigned rows)
{
    unsigned hash = group * 0x9e3779b1;
    hash ^= hash >> 15;
    hash *= 0x85ebca77;
    return __umulhi(hash, rows);
}

extern "C" __global__ void __launch_bounds__(256)
l2_policy(const float* __restrict__ x, const float* __restrict__ table, float* __restrict__ y, unsigned rows,
          unsigned n)
{
    const unsigned i = 256 * blockIdx.x + threadIdx.x;

    if (i < n / 4) {
        const unsigned from = 8 * row_of(i / 8, rows) + i % 8;      // in vectors of four
        const float4 a = reinterpret_cast<const float4*>(x)[i];
        const float4 b = reinterpret_cast<const float4*>(table)[from];
        reinterpret_cast<float4*>(y)[i] = {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
    }
    if (i < n % 4) {                    // the grid's first threads also take the last 0 to 3 elements
        const unsigned last = n - 1 - i;
        const unsigned from = 32 * row_of(last / 32, rows) + last % 32;
        y[last] = x[last] + table[from];
    }
}
