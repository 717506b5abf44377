// transpose: y[c][r] = x[r][c], in 32 x 32 tiles through shared memory, 4 bytes an access: a padded row allows no more.
// Next to ../ptx/transpose.padded.ptx; shapes and launch are in ../pairs/transpose.py. For fewer than 2^32 elements.

extern "C" __global__ void __launch_bounds__(256)
transpose(const float* __restrict__ x, float* __restrict__ y, unsigned rows, unsigned columns)
{
    __shared__ float tile[32][33];      // 33, not 32: a column of the tile is in 32 different banks
    const unsigned lane = threadIdx.x;
    const unsigned warp = threadIdx.y;

    // A warp reads along a row of x, ...
    const unsigned x_column = 32 * blockIdx.x + lane;
    const unsigned x_row = 32 * blockIdx.y + warp;
    for (unsigned k = 0; k < 32; k += 8)
        if (x_column < columns && x_row + k < rows)
            tile[warp + k][lane] = x[(x_row + k) * columns + x_column];
    __syncthreads();

    // ... and writes along a row of y, which is a column of the tile.
    const unsigned y_column = 32 * blockIdx.y + lane;
    const unsigned y_row = 32 * blockIdx.x + warp;
    for (unsigned k = 0; k < 32; k += 8)
        if (y_column < rows && y_row + k < columns)
            y[(y_row + k) * rows + y_column] = tile[lane][warp + k];
}
