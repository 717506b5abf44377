// Mandelbrot's set with complex numbers of Thrust.
#include <thrust/complex.h>
#include <fstream>
#include <iomanip>
#include <sstream>

constexpr int most_steps = 50;

__global__ void mandelbrot(unsigned short* steps, int width, int height)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height)
        return;
    const thrust::complex<float> c(-2.0f + 0.125f * x, -1.0f + 0.125f * y);
    thrust::complex<float> z = 0.0f;
    unsigned short n = 0;
    while (n < most_steps && z.real() * z.real() + z.imag() * z.imag() <= 4.0f) {
        z = thrust::complex<float>(__fadd_rn(__fsub_rn(__fmul_rn(z.real(), z.real()), __fmul_rn(z.imag(), z.imag())), c.real()),
                                   __fadd_rn(__fmul_rn(2.0f * z.real(), z.imag()), c.imag()));
        ++n;
    }
    steps[y * width + x] = n;
}

std::string as_text(const unsigned short* steps, int width, int height)
{
    std::ostringstream text;
    text << "P2 " << width << ' ' << height << ' ' << most_steps << '\n';
    for (int i = 0; i < width * height; ++i)
        text << std::setw(4) << steps[i];
    return text.str();
}
