// tma_transpose: y[c][r] = x[r][c], in 64 x 64 tiles that cuda::memcpy_async of libcu++ brings, row by row.
// Next to ../ptx/tma_transpose.ptx; shapes and launch are in ../pairs/tma_transpose.py.
//
// The tensor maps are for the PTX. Of these copies, libcu++ makes bulk copies (cp.async.bulk) from sm_90 on.

#include <cuda/barrier>

struct alignas(64) TensorMap {
    unsigned char bytes[128];
};

extern "C" __global__ void __launch_bounds__(256)
tma_transpose(const float* __restrict__ x, float* __restrict__ y, const __grid_constant__ TensorMap swizzled_x,
              const __grid_constant__ TensorMap plain_x, const __grid_constant__ TensorMap plain_y, unsigned rows,
              unsigned columns)
{
    // 68, not 64: eight rows below each other are in different banks, and each row begins at a multiple of 16 bytes.
    __shared__ __align__(16) float tile[64][68];
#pragma nv_diag_suppress static_var_with_dynamic_init
    __shared__ cuda::barrier<cuda::thread_scope_block> arrived;
    const unsigned thread = threadIdx.x;
    const unsigned first_column = 64 * blockIdx.x;
    const unsigned first_row = 64 * blockIdx.y;

    if (thread == 0)
        init(&arrived, 256);
    __syncthreads();

    // Thread r copies row r of x's tile; the barrier counts the bytes of all copies.
    if (thread < 64 && first_row + thread < rows) {
        const unsigned floats = min(64, columns - first_column);
        cuda::memcpy_async(tile[thread], x + static_cast<size_t>(first_row + thread) * columns + first_column,
                           cuda::aligned_size_t<16>(4 * floats), arrived);
    }
    arrived.arrive_and_wait();

    // Lane r of a warp reads 16 bytes of a row, and the warp writes along four rows of y.
    const unsigned row = thread % 64;
    const unsigned y_column = first_row + row;
#pragma unroll
    for (unsigned k = 0; k < 4; ++k) {
        const unsigned column = 16 * (thread / 64) + 4 * k;
        const unsigned y_row = first_column + column;
        if (y_row < columns && y_column < rows) {
            const float4 v = *reinterpret_cast<const float4*>(&tile[row][column]);
            float* to = y + static_cast<size_t>(y_row) * rows + y_column;
            to[0] = v.x;
            to[rows] = v.y;
            to[2 * rows] = v.z;
            to[3 * rows] = v.w;
        }
    }
}
