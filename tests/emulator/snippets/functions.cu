// CUDA's mathematical functions.

#define OUT extern "C" __global__ void
#define STORE(type, ...)                                                          \
    const type results[] = {__VA_ARGS__};                                         \
    _Pragma("unroll") for (int k = 0; k < int(sizeof(results) / sizeof(type)); ++k) \
        out[k * blockDim.x + threadIdx.x] = results[k];

OUT trigonometry(const float* x, float* out)
{
    const float a = x[threadIdx.x];
    float s, c;
    sincosf(a, &s, &c);
    STORE(float, sinf(a), cosf(a), tanf(a), s, c, sinpif(a), cospif(a))
}

OUT large_angles(const float* x, float* out)                // the slow path of the argument's reduction
{
    const float a = x[threadIdx.x];
    STORE(float, sinf(a), cosf(a))
}

OUT inverse_trigonometry(const float* x, const float* y, float* out)
{
    const float a = x[threadIdx.x], b = y[threadIdx.x];
    STORE(float, asinf(a), acosf(a), atanf(b), atan2f(a, b), sinhf(a), coshf(a), tanhf(b), asinhf(b), atanhf(a))
}

OUT exponentials(const float* x, float* out)
{
    const float a = x[threadIdx.x];
    STORE(float, expf(a), exp2f(a), exp10f(a), expm1f(a))
}

OUT logarithms(const float* x, float* out)
{
    const float a = x[threadIdx.x];
    STORE(float, logf(a), log2f(a), log10f(a), log1pf(a))
}

OUT powers(const float* x, const float* y, float* out)
{
    const float a = x[threadIdx.x], b = y[threadIdx.x];
    STORE(float, powf(a, b), sqrtf(a), rsqrtf(a), cbrtf(b), hypotf(a, b), a / b, powf(a, 3), rcbrtf(a))
}

OUT special_functions(const float* x, float* out)
{
    const float a = x[threadIdx.x];
    STORE(float, erff(a), erfcf(a), tgammaf(a + 4.5f), lgammaf(a + 4.5f), normcdff(a))
}

OUT remainders(const float* x, const float* y, float* out, int* exponents)
{
    const float a = x[threadIdx.x], b = y[threadIdx.x];
    float whole;
    const float fraction = modff(a, &whole);
    int exponent;
    const float mantissa = frexpf(a, &exponent);
    exponents[threadIdx.x] = exponent * 1000 + ilogbf(a);
    STORE(float, fmodf(a, b), remainderf(a, b), floorf(a), ceilf(a), truncf(a), rintf(a), roundf(a), fabsf(a),
          copysignf(a, b), fminf(a, b), fmaxf(a, b), fdimf(a, b), ldexpf(a, 3), whole, fraction, mantissa,
          nearbyintf(b))
}

OUT special_values(const float* x, float* out, int* classes)
{
    const float a = x[threadIdx.x];
    classes[threadIdx.x] = isnan(a) | (isinf(a) ? 2 : 0) | (isfinite(a) ? 4 : 0) | (signbit(a) ? 8 : 0);
    STORE(float, fmaxf(a, 0.0f), fminf(a, 0.0f), sqrtf(a), fabsf(a), -a, a * 0.0f, a > 0.0f ? 1.0f : 2.0f)
}

OUT fast_intrinsics(const float* x, const float* y, float* out)
{
    const float a = x[threadIdx.x], b = y[threadIdx.x];
    STORE(float, __sinf(a), __cosf(a), __expf(a), __logf(b), __log2f(b), __log10f(b), __powf(b, a), __fdividef(a, b),
          __frsqrt_rn(b), __frcp_rn(b), __tanf(a), __exp10f(a), __fsqrt_rn(b), __fdiv_rn(a, b))
}
