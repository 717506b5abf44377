// What three shipped kernels compute, as plain loops with the kernels' arguments: the emulator is compared with them.
// benchmarks/emulator.py compiles this file with gcc -O3 -march=native.

#include <stddef.h>

void triad(float *restrict a, const float *restrict b, const float *restrict c, float s, unsigned n)
{
    for (size_t i = 0; i < n; i++)
        a[i] = b[i] + s * c[i];
}

void transpose(const float *restrict x, float *restrict y, unsigned rows, unsigned columns)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            y[j * rows + i] = x[i * columns + j];
}

// Row by row of b, so that the innermost loop is vectorised.
void sgemm_tiled(const float *restrict a, const float *restrict b, float *restrict c, unsigned m, unsigned n, unsigned k)
{
    for (size_t i = 0; i < m; i++) {
        float *restrict row = c + i * n;
        for (size_t j = 0; j < n; j++)
            row[j] = 0;
        for (size_t l = 0; l < k; l++)
            for (size_t j = 0; j < n; j++)
                row[j] += a[i * k + l] * b[l * n + j];
    }
}
