// bigint_mul256: product[i] = a[i] * b[i], 256 bits times 256 gives 512, one product per thread, column by column.
// Paired with ../ptx/bigint_mul256.ptx; shapes and launch are in ../pairs/bigint_mul256.py.

typedef unsigned long long u64;

// Each thread has the limbs of its own product; threads share nothing.
#ifdef __CUDACC_RTC_INT128__            // with --device-int128: 64 products of 32-bit limbs, a column's sum in 128 bits
__device__ void multiply(unsigned* product, const unsigned* a, const unsigned* b)
{
    unsigned __int128 sum = 0;
    for (int column = 0; column < 15; ++column) {
        for (int i = 0; i < 8; ++i)
            if (0 <= column - i && column - i < 8)
                sum += static_cast<u64>(a[i]) * b[column - i];
        product[column] = static_cast<unsigned>(sum);
        sum >>= 32;                     // the carry into the next column
    }
    product[15] = static_cast<unsigned>(sum);
}
#else                                   // 81 products of 30-bit limbs, which need no carry: 9 (2^30 - 1)^2 < 2^64 - 2^34
// Bits 30 k to 30 k + 29 of 256.
__device__ unsigned limb_of_30(const unsigned* words, int k)
{
    const int word = 30 * k / 32, shift = 30 * k % 32;
    return (word < 7 ? __funnelshift_r(words[word], words[word + 1], shift) : words[7] >> shift) & 0x3fffffff;
}

__device__ void multiply(unsigned* product, const unsigned* a, const unsigned* b)
{
    unsigned x[9], y[9];
    for (int k = 0; k < 9; ++k) {
        x[k] = limb_of_30(a, k);
        y[k] = limb_of_30(b, k);
    }
    unsigned limbs[18];                 // each has 30 bits of the product, and any bits above them
    u64 sum = 0;
    for (int column = 0; column < 17; ++column) {
        for (int i = 0; i < 9; ++i)
            if (0 <= column - i && column - i < 9)
                sum += static_cast<u64>(x[i]) * y[column - i];
        limbs[column] = static_cast<unsigned>(sum);
        sum >>= 30;                     // 34 bits go into the next column
    }
    limbs[17] = static_cast<unsigned>(sum);
    for (int k = 0; k < 16; ++k) {
        const int limb = 32 * k / 30, shift = 32 * k % 30;
        product[k] = __funnelshift_l(limbs[limb] << 2, limbs[limb + 1], 30 - shift);
    }
}
#endif

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
        if (reps > 1)                   // not needed, but with it ptxas generates fewer instructions up to sm_90
            for (int k = 0; k < 8; ++k)
                x[k] = p[k] ^ p[k + 8]; // the next factor: the low half xor the high half
    } while (--reps > 0);

    for (int k = 0; k < 4; ++k)
        product[4 * i + k] = make_uint4(p[4 * k], p[4 * k + 1], p[4 * k + 2], p[4 * k + 3]);
}
