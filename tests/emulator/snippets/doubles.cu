// CUDA's mathematical functions of doubles.

#define OUT extern "C" __global__ void
#define STORE(type, ...)                                                          \
    const type results[] = {__VA_ARGS__};                                         \
    _Pragma("unroll") for (int k = 0; k < int(sizeof(results) / sizeof(type)); ++k) \
        out[k * blockDim.x + threadIdx.x] = results[k];

OUT double_functions(const double* x, const double* y, double* out)
{
    const double a = x[threadIdx.x], b = y[threadIdx.x];
    STORE(double, sin(a), cos(a), tan(a), exp(a), log(b), pow(b, a), erf(a), tanh(a), fmod(a, b), cbrt(a), atan2(a, b),
          rsqrt(b), log1p(b), expm1(a), sinh(a), hypot(a, b), round(a), exp2(a), log2(b), acos(a / 20))
}
