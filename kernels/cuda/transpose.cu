// transpose: y[c][r] = x[r][c], in 32 x 32 tiles through shared memory, 16 bytes per access.
// Paired with ../ptx/transpose.ptx; shapes and launch are in ../pairs/transpose.py. For fewer than 2^32 elements.

extern "C" __global__ void __launch_bounds__(256)
transpose(const float* __restrict__ x, float* __restrict__ y, unsigned rows, unsigned columns)
{
    // Row c of the tile is column c of x's tile. No padding, so that a row can be read by 16 bytes. Instead an
    // exclusive or with the row moves the elements that are stored at once to 32 different banks.
    __shared__ __align__(16) float tile[32][32];
    const unsigned first_column = 32 * blockIdx.x;
    const unsigned first_row = 32 * blockIdx.y;

    if ((rows | columns) % 32 == 0) {
        // All tiles are whole: a thread reads 4 elements of row `slow` of x's tile, and writes 4 of row `slow` of y's.
        const unsigned thread = 32 * threadIdx.y + threadIdx.x;
        const unsigned slow = thread / 8;
        const unsigned fast = thread % 8;
        const unsigned x_i = (first_row + slow) * columns + (first_column + 4 * fast);
        const float4 v = *reinterpret_cast<const float4*>(x + x_i);
        const unsigned place = 4 * (slow / 4 ^ fast) + slow % 4;
        tile[4 * fast][place] = v.x;
        tile[4 * fast + 1][place] = v.y;
        tile[4 * fast + 2][place] = v.z;
        tile[4 * fast + 3][place] = v.w;
        __syncthreads();
        const unsigned y_i = (first_column + slow) * rows + (first_row + 4 * fast);
        *reinterpret_cast<float4*>(y + y_i) = *reinterpret_cast<const float4*>(&tile[slow][4 * (fast ^ slow / 4)]);
        return;
    }

    const unsigned lane = threadIdx.x;
    const unsigned warp = threadIdx.y;

    // A warp reads along a row of x, ...
    const unsigned x_column = first_column + lane;
    const unsigned x_row = first_row + warp;
    for (unsigned k = 0; k < 32; k += 8)
        if (x_column < columns && x_row + k < rows)
            tile[lane][(warp + k) ^ lane] = x[(x_row + k) * columns + x_column];
    __syncthreads();

    // ... and writes along a row of y, which is a row of the tile.
    const unsigned y_column = first_row + lane;
    const unsigned y_row = first_column + warp;
    for (unsigned k = 0; k < 32; k += 8)
        if (y_column < rows && y_row + k < columns)
            y[(y_row + k) * rows + y_column] = tile[warp + k][lane ^ (warp + k)];
}
