// Jacobi's method on a grid: two kernels, and a host loop that swaps the arrays.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <tuple>

#define IDX(i, j) ((i) * (width) + (j))

__global__ void sweep(const double* __restrict__ u, double* __restrict__ next, int width, int height)
{
    const int j = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y * blockDim.y + threadIdx.y;
    if (i > 0 && i < height - 1 && j > 0 && j < width - 1)
        next[IDX(i, j)] = 0.25 * (u[IDX(i - 1, j)] + u[IDX(i + 1, j)] + u[IDX(i, j - 1)] + u[IDX(i, j + 1)]);
}

__global__ void largest_change(const double* a, const double* b, unsigned long long* result, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        atomicMax(result, (unsigned long long)__double_as_longlong(std::max(a[i] - b[i], b[i] - a[i])));
}

std::tuple<int, double> solve(double* u, double* next, int width, int height, double tolerance)
{
    using clock = std::chrono::high_resolution_clock;
    const auto start = clock::now();
    int steps = 0;
    for (; steps < 1000; ++steps) {
        sweep<<<dim3((width + 15) / 16, (height + 15) / 16), dim3(16, 16)>>>(u, next, width, height);
        std::swap(u, next);
    }
    return {steps, std::chrono::duration<double>(clock::now() - start).count()};
}

int main(int argc, char** argv)
{
    const auto [steps, seconds] = solve(nullptr, nullptr, 64, 64, argc > 1 ? std::atof(argv[1]) : 1e-6);
    std::cout << steps << " steps, " << seconds << " s" << std::endl;
    return EXIT_SUCCESS;
}
