// bigint_mul256: product[i] = a[i] * b[i], 256 bits times 256 gives 512, one product per thread, row by row.
// Paired with ../ptx/bigint_mul256.ptx; shapes and launch are in ../pairs/bigint_mul256.py.

// Each thread has the limbs of its own product; threads share nothing.
#ifdef __CUDACC_RTC_INT128__            // with --device-int128: 16 products of 64-bit limbs
__device__ void multiply(unsigned* product, const unsigned* a, const unsigned* b)
{
    typedef unsigned long long u64;
    u64 limbs[8] = {};
    for (int i = 0; i < 4; ++i) {
        const u64 a_i = a[2 * i] | static_cast<u64>(a[2 * i + 1]) << 32;
        u64 carry = 0;
        for (int j = 0; j < 4; ++j) {
            const u64 b_j = b[2 * j] | static_cast<u64>(b[2 * j + 1]) << 32;
            const unsigned __int128 sum = static_cast<unsigned __int128>(a_i) * b_j + limbs[i + j] + carry;
            limbs[i + j] = static_cast<u64>(sum);
            carry = static_cast<u64>(sum >> 64);
        }
        limbs[i + 4] = carry;
    }
    for (int k = 0; k < 8; ++k) {
        product[2 * k] = static_cast<unsigned>(limbs[k]);
        product[2 * k + 1] = static_cast<unsigned>(limbs[k] >> 32);
    }
}
#else                                   // 64 products of 32-bit limbs
__device__ void multiply(unsigned* product, const unsigned* a, const unsigned* b)
{
    for (int k = 0; k < 8; ++k)
        product[k] = 0;
    for (int i = 0; i < 8; ++i) {
        unsigned carry = 0;
        for (int j = 0; j < 8; ++j) {
            // No overflow: (2^32 - 1)^2 + 2 (2^32 - 1) = 2^64 - 1.
            const unsigned long long sum = static_cast<unsigned long long>(a[i]) * b[j] + product[i + j] + carry;
            product[i + j] = static_cast<unsigned>(sum);
            carry = static_cast<unsigned>(sum >> 32);
        }
        product[i + 8] = carry;
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
        if (reps > 1)                   // not needed, but with it ptxas generates 60 instructions fewer up to sm_90
            for (int k = 0; k < 8; ++k)
                x[k] = p[k] ^ p[k + 8]; // the next factor: the low half xor the high half
    } while (--reps > 0);

    for (int k = 0; k < 4; ++k)
        product[4 * i + k] = make_uint4(p[4 * k], p[4 * k + 1], p[4 * k + 2], p[4 * k + 3]);
}
