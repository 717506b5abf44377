// Half precision and bfloat16, one at a time and in pairs.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define OUT extern "C" __global__ void

OUT half_arithmetic(const __half* x, const __half* y, __half* out)
{
    const int i = threadIdx.x, n = blockDim.x;
    const __half a = x[i], b = y[i];
    const __half results[] = {
        a + b, a - b, a * b, __hfma(a, b, a), a / b, -a, __habs(b), __hmax(a, b), __hmin(a, b), __hadd_sat(a, b),
        __hfma_sat(a, b, b), hsqrt(__habs(a)), hfloor(a), hceil(b), hrint(a), htrunc(b), __hmul_sat(a, b),
    };
#pragma unroll
    for (int k = 0; k < int(sizeof(results) / sizeof(__half)); ++k)
        out[k * n + i] = results[k];
}

OUT half_functions(const __half* x, __half* out)
{
    const int i = threadIdx.x, n = blockDim.x;
    const __half a = x[i];
    const __half results[] = {hexp(a), hlog(a), hsin(a), hcos(a), hexp2(a), hlog2(a), hrcp(a), hrsqrt(a), hexp10(a)};
#pragma unroll
    for (int k = 0; k < int(sizeof(results) / sizeof(__half)); ++k)
        out[k * n + i] = results[k];
}

OUT half_pairs(const __half2* x, const __half2* y, __half2* out, int* flags)
{
    const int i = threadIdx.x, n = blockDim.x;
    const __half2 a = x[i], b = y[i];
    const __half2 results[] = {
        __hadd2(a, b), __hsub2(a, b), __hmul2(a, b), __hfma2(a, b, a), __h2div(a, b), __hneg2(a), __habs2(a),
        __hmax2(a, b), __hmin2(a, b), __hgt2(a, b), __hle2(a, b), __hequ2(a, a), __lowhigh2highlow(a),
        __halves2half2(__high2half(b), __low2half(a)), __float2half2_rn(0.3f), __low2half2(b), h2sqrt(__habs2(a)),
    };
#pragma unroll
    for (int k = 0; k < int(sizeof(results) / sizeof(__half2)); ++k)
        out[k * n + i] = results[k];
    flags[i] = __hbgt2(a, b) | __hblt2(a, b) << 1 | __heq(__low2half(a), __low2half(a)) << 2
        | __hisnan(__high2half(b)) << 3 | __hgt(__low2half(a), __low2half(b)) << 4;
}

OUT half_conversions(const float* x, const int* y, __half* out, float* floats, int* ints)
{
    const int i = threadIdx.x, n = blockDim.x;
    const __half results[] = {__float2half_rn(x[i]), __float2half_rz(x[i]), __float2half_ru(x[i]),
                              __float2half_rd(x[i]), __int2half_rn(y[i]), __double2half(x[i] * 1.0001),
                              __short2half_rn(y[i]), __ushort_as_half(y[i] & 0x3fff)};
#pragma unroll
    for (int k = 0; k < int(sizeof(results) / sizeof(__half)); ++k)
        out[k * n + i] = results[k];
    const __half h = __float2half(x[i]);
    floats[i] = __half2float(h);
    ints[i] = __half2int_rn(h);
    ints[n + i] = __half2int_rd(h);
    ints[2 * n + i] = __half2short_rz(h);
    ints[3 * n + i] = __half_as_ushort(h);
}

OUT half_shuffles(const __half2* x, __half2* y)             // a sum over the warp
{
    __half2 sum = x[threadIdx.x];
    for (int offset = 16; offset; offset /= 2)
        sum = __hadd2(sum, __shfl_xor_sync(~0u, sum, offset));
    y[threadIdx.x] = sum;
}

#if __CUDA_ARCH__ >= 800
OUT bf16_arithmetic(const __nv_bfloat16* x, const __nv_bfloat16* y, __nv_bfloat16* out)
{
    const int i = threadIdx.x, n = blockDim.x;
    const __nv_bfloat16 a = x[i], b = y[i];
    const __nv_bfloat16 results[] = {
        a + b, a - b, a * b, __hfma(a, b, a), -a, __habs(b), __hmax(a, b), __hmin(a, b), a / b, hsqrt(__habs(a)),
        __float2bfloat16(__bfloat162float(a) * 3.0f), hfloor(a), a > b ? a : -b,
    };
#pragma unroll
    for (int k = 0; k < int(sizeof(results) / sizeof(__nv_bfloat16)); ++k)
        out[k * n + i] = results[k];
}

OUT bf16_pairs(const __nv_bfloat162* x, const float2* y, __nv_bfloat162* out)
{
    const int i = threadIdx.x, n = blockDim.x;
    const __nv_bfloat162 a = x[i], b = __float22bfloat162_rn(y[i]);
    const __nv_bfloat162 results[] = {b, __hadd2(a, b), __hmul2(a, b), __hfma2(a, b, a), __hmax2(a, b), __hsub2(a, b)};
#pragma unroll
    for (int k = 0; k < int(sizeof(results) / sizeof(__nv_bfloat162)); ++k)
        out[k * n + i] = results[k];
}
#endif

OUT bf16_conversions(const __nv_bfloat162* x, const float2* y, __nv_bfloat162* out, float2* floats, __nv_bfloat16* low)
{
    const int i = threadIdx.x;
    out[i] = __float22bfloat162_rn(y[i]);
    floats[i] = __bfloat1622float2(x[i]);
    low[i] = __float2bfloat16_rz(y[i].x);
}
