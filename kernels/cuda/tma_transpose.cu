// tma_transpose: y[c][r] = x[r][c], in 64 x 64 tiles through shared memory, 16 bytes per access.
// Paired with ../ptx/tma_transpose.ptx; shapes and launch are in ../pairs/tma_transpose.py.
//
// The tensor maps are for the PTX: CUDA C has no tensor copies.

struct alignas(64) TensorMap {
    unsigned char bytes[128];
};

extern "C" __global__ void __launch_bounds__(256)
tma_transpose(const float* __restrict__ x, float* __restrict__ y, const __grid_constant__ TensorMap swizzled_x,
              const __grid_constant__ TensorMap plain_x, const __grid_constant__ TensorMap plain_y, unsigned rows,
              unsigned columns)
{
    // Row c of the tile is column c of x's tile: 16 chunks of four floats. The chunks of a row are exchanged by an
    // exclusive or with the number of its group of four rows: chunks that are stored at once are in different banks.
    __shared__ float4 tile[64][16];
    const unsigned first_column = 64 * blockIdx.x;
    const unsigned first_row = 64 * blockIdx.y;
    const unsigned fast = threadIdx.x % 16;
    const unsigned slow = threadIdx.x / 16;

    // A thread transposes 4 x 4 floats: rows 4 * slow .., columns 4 * fast .. of the tile, all inside or all outside.
    const unsigned x_row = first_row + 4 * slow;
    const unsigned x_column = first_column + 4 * fast;
    if (x_row < rows && x_column < columns) {
        const float4* from = reinterpret_cast<const float4*>(x + static_cast<size_t>(x_row) * columns + x_column);
        const float4 a = from[0];
        const float4 b = from[columns / 4];
        const float4 c = from[2 * (columns / 4)];
        const float4 d = from[3 * (columns / 4)];
        const unsigned place = slow ^ fast % 8;
        tile[4 * fast][place] = make_float4(a.x, b.x, c.x, d.x);
        tile[4 * fast + 1][place] = make_float4(a.y, b.y, c.y, d.y);
        tile[4 * fast + 2][place] = make_float4(a.z, b.z, c.z, d.z);
        tile[4 * fast + 3][place] = make_float4(a.w, b.w, c.w, d.w);
    }
    __syncthreads();

    // Sixteen threads write a row of y's tile, which is a row of `tile`; a thread writes chunk `fast` of four rows.
    const unsigned y_row = first_column + slow;
    const unsigned y_column = first_row + 4 * fast;
    if (y_column >= rows)
        return;
    float4* to = reinterpret_cast<float4*>(y + static_cast<size_t>(y_row) * rows + y_column);
    const unsigned place = fast ^ slow / 4;         // k / 4 is in another bit, because slow is less than 16
#pragma unroll
    for (unsigned k = 0; k < 64; k += 16)
        if (y_row + k < columns)
            to[k / 4 * rows] = tile[slow + k][place ^ k / 4 % 8];
}
