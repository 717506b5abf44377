// Prices of options, in single and in double precision by a macro, as many benchmarks have it.
#include <cmath>
#include <ctime>
#include <vector>
#include <omp.h>

#ifdef DOUBLE_PRECISION
typedef double real;
#else
typedef float real;
#endif

const real RISK_FREE = real(0.02);
static const real VOLATILITY = real(0.30);

__device__ inline real cumulative(real d) { return real(0.5) * std::erfc(-d * real(M_SQRT1_2)); }

__global__ void black_scholes(real* call, real* put, const real* price, const real* strike, const real* years, int count)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += blockDim.x * gridDim.x) {
        const real root = std::sqrt(years[i]);
        const real d1 = (std::log(price[i] / strike[i]) + (RISK_FREE + real(0.5) * VOLATILITY * VOLATILITY) * years[i]) /
                        (VOLATILITY * root);
        const real d2 = d1 - VOLATILITY * root;
        const real discounted = strike[i] * std::exp(-RISK_FREE * years[i]);
        call[i] = price[i] * cumulative(d1) - discounted * cumulative(d2);
        put[i] = call[i] - price[i] + discounted;
    }
}

double reference(double s, double x, double t)
{
    double sum = 0;
#pragma omp parallel for reduction(+ : sum)
    for (int i = 0; i < 100; ++i)
        sum += std::exp(-RISK_FREE * t) * s / x;
    return sum;
}
