// copy_hints.v8: y = x, two 32-byte accesses per thread, without a hint.
// Paired with ../ptx/copy_hints.v8.ptx; shapes and launch are in ../pairs/copy_hints.v8.py.

struct alignas(32) Vector {     // one access of 32 bytes where the target has one, otherwise two of 16
    unsigned at[8];
};

extern "C" __global__ void __launch_bounds__(256)
copy_hints_v8(const Vector* __restrict__ x, Vector* __restrict__ y, unsigned vectors)
{
    const unsigned i = 512 * blockIdx.x + threadIdx.x;
    x += i;
    y += i;

    if (i + 256 < vectors) {
        const Vector v0 = x[0];
        const Vector v1 = x[256];
        y[0] = v0;
        y[256] = v1;
    } else if (i < vectors) {
        y[0] = x[0];
    }
}
