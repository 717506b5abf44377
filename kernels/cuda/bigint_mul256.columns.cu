// bigint_mul256: product[i] = a[i] * b[i], 256 bits times 256 gives 512, one product per thread, column by column.
// Paired with ../ptx/bigint_mul256.ptx; shapes and launch are in ../pairs/bigint_mul256.py.
// The order of ../ptx/bigint_mul256.columns.ptx without a carry: halves of products add up to 35 bits at most.

// Each thread has the limbs of its own product; threads share nothing.
__device__ void multiply(unsigned* product, const unsigned* a, const unsigned* b)
{
    unsigned long long sum = 0, highs = 0;              // of the low halves of this column, of the high halves
    for (int column = 0; column < 15; ++column) {
        sum += highs;                                   // the high halves of the previous column
        highs = 0;
        for (int i = 0; i < 8; ++i)
            if (0 <= column - i && column - i < 8) {
                const unsigned long long both = static_cast<unsigned long long>(a[i]) * b[column - i];
                sum += static_cast<unsigned>(both);
                highs += both >> 32;
            }
        product[column] = static_cast<unsigned>(sum);
        sum >>= 32;
    }
    product[15] = static_cast<unsigned>(sum + highs);
}

#ifndef BLOCK                   // a knob: ptxbench tune
#define BLOCK 128
#endif

extern "C" __global__ void __launch_bounds__(BLOCK)
bigint_mul256(const uint4* __restrict__ a, const uint4* __restrict__ b, uint4* __restrict__ product, unsigned n,
              unsigned reps)
{
    const unsigned i = BLOCK * blockIdx.x + threadIdx.x;
    if (i >= n)
        return;

    const uint4 a_low = a[2 * i], a_high = a[2 * i + 1];
    const uint4 b_low = b[2 * i], b_high = b[2 * i + 1];
    unsigned x[8] = {a_low.x, a_low.y, a_low.z, a_low.w, a_high.x, a_high.y, a_high.z, a_high.w};
    const unsigned y[8] = {b_low.x, b_low.y, b_low.z, b_low.w, b_high.x, b_high.y, b_high.z, b_high.w};

    unsigned p[16];
    do {
        multiply(p, x, y);
        if (reps > 1)                   // not needed, but with it ptxas generates 60 instructions fewer up to sm_90
            for (int k = 0; k < 8; ++k)
                x[k] = p[k] ^ p[k + 8]; // the next factor: the low half xor the high half
    } while (--reps > 0);

    for (int k = 0; k < 4; ++k)
        product[4 * i + k] = make_uint4(p[4 * k], p[4 * k + 1], p[4 * k + 2], p[4 * k + 3]);
}
