// Numbers that C++ lacks: half, bfloat16, fp8, fp6 and fp4, 128-bit integers; and the mathematical functions.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>

extern "C" __global__ void half2_polynomial(const __half2* x, __half2* y)
{
    __half2 value = x[threadIdx.x];
    __half2 sum = __float2half2_rn(0.25f);
    sum = __hfma2(sum, value, __float2half2_rn(-0.5f));
    sum = __hfma2(sum, value, __floats2half2_rn(1.0f, 2.0f));
    y[3 * threadIdx.x] = sum;
    y[3 * threadIdx.x + 1] = __h2div(sum, __hadd2(__habs2(value), __float2half2_rn(1.0f)));
    y[3 * threadIdx.x + 2] = __hmin2(__hmax2(__hneg2(value), value), __lowhigh2highlow(value));
}

extern "C" __global__ void half_functions(const __half* x, __half* y)
{
    __half value = x[threadIdx.x];
    y[4 * threadIdx.x] = hexp(value);
    y[4 * threadIdx.x + 1] = hsqrt(__habs(value));
    y[4 * threadIdx.x + 2] = htanh(value);
    y[4 * threadIdx.x + 3] = hfloor(value) + __half(__hgt(value, __float2half(0.5f)) ? 1.0f : 0.0f);
}

extern "C" __global__ void bfloat16_dot(const __nv_bfloat16* x, const __nv_bfloat16* y, float* dots, __nv_bfloat16* sums)
{
    float dot = 0.0f;
    for (int i = threadIdx.x; i < 256; i += 32)
        dot += __bfloat162float(x[i]) * __bfloat162float(y[i]);
    for (int offset = 16; offset; offset /= 2)
        dot += __shfl_xor_sync(0xffffffff, dot, offset);
    if (threadIdx.x == 0)
        *dots = dot;
    for (int i = threadIdx.x; i < 256; i += 32)
        sums[i] = __hadd(x[i], y[i]);
}

extern "C" __global__ void fp8_round_trip(const float* x, unsigned char* e4m3, unsigned char* e5m2, float* back)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    __nv_fp8_e4m3 a(x[i]);
    __nv_fp8_e5m2 b(x[i]);
    e4m3[i] = a.__x;
    e5m2[i] = b.__x;
    back[2 * i] = float(a);
    back[2 * i + 1] = float(b);
}

extern "C" __global__ void fp6_and_fp4(const float* x, float* back)
{
    int i = threadIdx.x;
    back[3 * i] = float(__nv_fp6_e2m3(x[i]));
    back[3 * i + 1] = float(__nv_fp6_e3m2(x[i]));
    back[3 * i + 2] = float(__nv_fp4_e2m1(x[i]));
}

extern "C" __global__ void int128_products(const long long* x, const long long* y, __int128* z)
{
    __int128 a = x[threadIdx.x], b = y[threadIdx.x];
    z[2 * threadIdx.x] = a * b + (a << 70) - (b >> 3);
    z[2 * threadIdx.x + 1] = (a * b) % 1000000007;
}

extern "C" __global__ void int128_quotients(const unsigned __int128* x, const unsigned __int128* y,
                                            unsigned __int128* quotients, unsigned __int128* remainders)
{
    quotients[threadIdx.x] = x[threadIdx.x] / y[threadIdx.x];
    remainders[threadIdx.x] = x[threadIdx.x] % y[threadIdx.x];
}

extern "C" __global__ void functions_f32(const float* x, float* y)
{
    float value = x[threadIdx.x];
    float* row = y + 10 * threadIdx.x;
    row[0] = sinf(value);
    row[1] = expf(value);
    row[2] = logf(fabsf(value) + 0.1f);
    row[3] = powf(fabsf(value), 1.7f);
    row[4] = erff(value);
    row[5] = tgammaf(fabsf(value) * 0.2f + 1.0f);
    row[6] = atan2f(value, 2.0f);
    row[7] = cbrtf(value);
    row[8] = j0f(value);
    row[9] = rsqrtf(fabsf(value) + 0.1f);
}

extern "C" __global__ void functions_f64(const double* x, double* y)
{
    double value = x[threadIdx.x];
    double* row = y + 8 * threadIdx.x;
    row[0] = cos(value);
    row[1] = exp(value);
    row[2] = log1p(fabs(value));
    row[3] = pow(fabs(value), -0.3);
    row[4] = erfc(value);
    row[5] = lgamma(fabs(value) + 1.5);
    row[6] = tan(value * 1e5);
    row[7] = fmod(value * 100.0, 0.7);
}
