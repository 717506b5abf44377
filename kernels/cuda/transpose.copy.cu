// transpose.copy: y[r][c] = x[r][c], in the 32 x 32 tiles of transpose, without a transposition.
// Paired with ../ptx/transpose.copy.ptx; shapes and launch are in ../pairs/transpose.copy.py. Below 2^32 elements.

extern "C" __global__ void __launch_bounds__(256)
transpose_copy(const float* __restrict__ x, float* __restrict__ y, unsigned rows, unsigned columns)
{
    const unsigned first_column = 32 * blockIdx.x;
    const unsigned first_row = 32 * blockIdx.y;

    if ((rows | columns) % 32 == 0) {
        const unsigned thread = 32 * threadIdx.y + threadIdx.x;
        const unsigned i = (first_row + thread / 8) * columns + (first_column + 4 * (thread % 8));
        *reinterpret_cast<float4*>(y + i) = *reinterpret_cast<const float4*>(x + i);
        return;
    }

    const unsigned column = first_column + threadIdx.x;
    const unsigned row = first_row + threadIdx.y;
    for (unsigned k = 0; k < 32; k += 8)
        if (column < columns && row + k < rows)
            y[(row + k) * columns + column] = x[(row + k) * columns + column];
}
