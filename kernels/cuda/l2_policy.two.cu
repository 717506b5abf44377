// l2_policy: y[i] = x[i] + a row of a table, chosen by a hash of i / 32: a thread takes two vectors of one row.
// Paired with ../ptx/l2_policy.ptx; shapes and launch are in ../pairs/l2_policy.py.
// The hash is computed once for two vectors, but a warp touches eight lines at a time instead of four. The grid is that
// of l2_policy.cu, so half of it returns at once.

// The row of 32 elements that is added to elements 32 * group to 32 * group + 31. The high bits of the hash select it.
__device__ unsigned row_of(unsigned group, unsigned rows)
{
    unsigned hash = group * 0x9e3779b1;
    hash ^= hash >> 15;
    hash *= 0x85ebca77;
    return __umulhi(hash, rows);
}

__device__ float4 sum(float4 a, float4 b)
{
    return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
}

extern "C" __global__ void __launch_bounds__(256)
l2_policy(const float* __restrict__ x, const float* __restrict__ table, float* __restrict__ y, unsigned rows,
          unsigned n)
{
    const unsigned i = 256 * blockIdx.x + threadIdx.x;
    const unsigned group = i / 4;       // four threads a row, each with vectors i % 4 and i % 4 + 4 of its eight

    if (group < n / 32) {
        const unsigned at = 8 * group + i % 4;
        const unsigned from = 8 * row_of(group, rows) + i % 4;
        const float4 a0 = __ldcs(reinterpret_cast<const float4*>(x) + at);
        const float4 a1 = __ldcs(reinterpret_cast<const float4*>(x) + at + 4);
        const float4 b0 = __ldg(reinterpret_cast<const float4*>(table) + from);
        const float4 b1 = __ldg(reinterpret_cast<const float4*>(table) + from + 4);
        __stcs(reinterpret_cast<float4*>(y) + at, sum(a0, b0));
        __stcs(reinterpret_cast<float4*>(y) + at + 4, sum(a1, b1));
    }
    if (i < n % 32) {                   // the grid's first threads also take the last 0 to 31 elements
        const unsigned last = n - 1 - i;
        const unsigned from = 32 * row_of(last / 32, rows) + last % 32;
        __stcs(&y[last], __ldcs(&x[last]) + __ldg(&table[from]));
    }
}
