// Numbers: division, wide products, bits, rounding modes, conversions.

#define OUT extern "C" __global__ void

OUT integer_division(const int* x, const int* y, const long long* p, const long long* q, int* r, unsigned* u,
                     long long* l, unsigned long long* m)
{
    const int i = threadIdx.x, n = blockDim.x;
    r[i] = x[i] / y[i];
    r[n + i] = x[i] % y[i];
    r[2 * n + i] = x[i] / 7;
    r[3 * n + i] = x[i] % -10;
    const unsigned a = x[i], b = y[i];
    u[i] = a / b;
    u[n + i] = a % b;
    u[2 * n + i] = a / 1000;
    u[3 * n + i] = a % 641;
    l[i] = p[i] / q[i];
    l[n + i] = p[i] % q[i];
    l[2 * n + i] = p[i] / 1000000007LL;
    const unsigned long long c = p[i], d = q[i];
    m[i] = c / d;
    m[n + i] = c % d;
    m[2 * n + i] = c % 10ULL;
}

OUT wide_products(const long long* x, const long long* y, long long* hi, unsigned long long* uhi, int* parts)
{
    const int i = threadIdx.x;
    hi[i] = __mul64hi(x[i], y[i]);
    uhi[i] = __umul64hi(x[i], y[i]);
    const int a = x[i], b = y[i];
    parts[4 * i] = __mulhi(a, b);
    parts[4 * i + 1] = __umulhi(a, b);
    parts[4 * i + 2] = __mul24(a, b);
    parts[4 * i + 3] = static_cast<int>(static_cast<long long>(a) * b >> 20);
}

OUT long_shifts(const unsigned long long* x, const int* by, unsigned long long* y)
{
    const int i = threadIdx.x, n = blockDim.x;
    y[i] = x[i] << by[i];
    y[n + i] = x[i] >> by[i];
    y[2 * n + i] = static_cast<long long>(x[i]) >> by[i];
    y[3 * n + i] = (x[i] >> by[i] | x[i] << (64 - by[i])) + 1;
}

OUT bit_intrinsics(const unsigned* x, const unsigned* y, const unsigned long long* z, unsigned* out)
{
    const int i = threadIdx.x, n = blockDim.x;
    const unsigned a = x[i], b = y[i];
    const unsigned long long c = z[i];
    const unsigned results[] = {
        unsigned(__popc(a)), __brev(a), __byte_perm(a, b, 0x5140 + (i & 3)), __funnelshift_l(a, b, i),
        __funnelshift_r(a, b, i + 40), __funnelshift_lc(a, b, i + 10), __funnelshift_rc(a, b, i + 10),
        unsigned(__clz(a)), unsigned(__ffs(a)), unsigned(__popcll(c)), unsigned(__clzll(c)), unsigned(__ffsll(c)),
        unsigned(__brevll(c)), __sad(int(a), int(b), 7u), unsigned(__hadd(int(a), int(b))), __urhadd(a, b),
        __uhadd(a, b), unsigned(min(int(a), int(b))), max(a, b), unsigned(abs(int(a))), __usad(a, b, 9u),
    };
#pragma unroll
    for (int k = 0; k < int(sizeof(results) / sizeof(unsigned)); ++k)
        out[k * n + i] = results[k];
}

OUT packed_bytes(const unsigned* x, const unsigned* y, unsigned* out)
{
    const int i = threadIdx.x, n = blockDim.x;
    const unsigned a = x[i], b = y[i];
    const unsigned results[] = {
        __vadd4(a, b), __vsub2(a, b), __vabsdiffu4(a, b), __vmaxs2(a, b), __vminu4(a, b), __vcmpgtu4(a, b),
        __vsadu4(a, b), __vavgu4(a, b), unsigned(__dp4a(int(a), int(b), 11)), __dp4a(a, b, 5u),
        unsigned(__dp2a_lo(int(a), int(b), 3)), __vaddus2(a, b), __vabs4(a),
    };
#pragma unroll
    for (int k = 0; k < int(sizeof(results) / sizeof(unsigned)); ++k)
        out[k * n + i] = results[k];
}

OUT carries(const uint4* x, const uint4* y, uint4* sum)     // 128 bits, by comparison
{
    const uint4 a = x[threadIdx.x], b = y[threadIdx.x];
    const unsigned long long low_a = a.x | static_cast<unsigned long long>(a.y) << 32,
                             low_b = b.x | static_cast<unsigned long long>(b.y) << 32,
                             high_a = a.z | static_cast<unsigned long long>(a.w) << 32,
                             high_b = b.z | static_cast<unsigned long long>(b.w) << 32;
    const unsigned long long low = low_a + low_b, high = high_a + high_b + (low < low_a);
    sum[threadIdx.x] = make_uint4(low, low >> 32, high, high >> 32);
}

OUT doubles(const double* x, const double* y, double* out)
{
    const int i = threadIdx.x, n = blockDim.x;
    const double a = x[i], b = y[i];
    const double results[] = {
        a + b, a - b, a * b, a / b, sqrt(fabs(a)), fma(a, b, 0.1), 1.0 / b, fmin(a, b), fmax(a, -b), floor(a),
        ceil(b), trunc(a), rint(b), copysign(a, b), double(float(a)), double(static_cast<long long>(a * 1e6)),
    };
#pragma unroll
    for (int k = 0; k < int(sizeof(results) / sizeof(double)); ++k)
        out[k * n + i] = results[k];
}

OUT roundings(const float* x, const float* y, float* out, const double* p, const double* q, double* dout)
{
    const int i = threadIdx.x, n = blockDim.x;
    const float a = x[i], b = y[i];
    const float results[] = {
        __fadd_rz(a, b), __fadd_ru(a, b), __fadd_rd(a, b), __fmul_rz(a, b), __fmul_ru(a, b), __fmul_rd(a, b),
        __fmaf_rz(a, b, 0.3f), __fmaf_ru(a, b, 0.3f), __fmaf_rd(a, b, 0.3f), __fdiv_rz(a, b), __fdiv_ru(a, b),
        __fdiv_rd(a, b), __fsqrt_rz(fabsf(a)), __fsqrt_ru(fabsf(a)), __fsqrt_rd(fabsf(a)), __frcp_ru(b),
    };
#pragma unroll
    for (int k = 0; k < int(sizeof(results) / sizeof(float)); ++k)
        out[k * n + i] = results[k];
    const double c = p[i], d = q[i];
    const double more[] = {__dadd_rz(c, d), __dadd_ru(c, d), __dadd_rd(c, d), __dmul_rz(c, d), __dmul_ru(c, d),
                           __dmul_rd(c, d), __ddiv_rz(c, d), __ddiv_ru(c, d), __ddiv_rd(c, d)};
#pragma unroll
    for (int k = 0; k < int(sizeof(more) / sizeof(double)); ++k)
        dout[k * n + i] = more[k];
}

OUT conversions(const float* x, const double* y, const long long* z, int* ints, long long* longs, float* floats)
{
    const int i = threadIdx.x, n = blockDim.x;
    const float a = x[i];
    const int results[] = {__float2int_rn(a), __float2int_rz(a), __float2int_ru(a), __float2int_rd(a),
                           int(__float2uint_rn(a)), int(a), int(static_cast<unsigned char>(__float2uint_rz(fabsf(a)))),
                           __double2int_rn(y[i]), __float_as_int(a), __double2hiint(y[i]), __double2loint(y[i])};
#pragma unroll
    for (int k = 0; k < int(sizeof(results) / sizeof(int)); ++k)
        ints[k * n + i] = results[k];
    longs[i] = __double2ll_rd(y[i]);
    longs[n + i] = __float2ll_rn(a);
    longs[2 * n + i] = __double_as_longlong(y[i]);
    floats[i] = __ll2float_rn(z[i]);
    floats[n + i] = __ll2float_rz(z[i]);
    floats[2 * n + i] = __int2float_ru(int(z[i]));
    floats[3 * n + i] = __uint2float_rd(unsigned(z[i]));
    floats[4 * n + i] = __double2float_rz(y[i]);
    floats[5 * n + i] = __saturatef(a);
}
