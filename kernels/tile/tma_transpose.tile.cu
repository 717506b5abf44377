// tma_transpose: y[c][r] = x[r][c], in 64 x 64 tiles. CUDA Tile C++: no threads, and no instruction is chosen here.
// For the pair ../pairs/tma_transpose.py, with its own launch: a CTA for each tile, whose threads the compiler chooses.
//
// The pair's tensor maps are no parameters of it: where the compiler wants tensor maps, it adds its own.

#include <cuda_tile.h>

namespace ct = cuda::tiles;
using namespace ct::literals;

extern "C" __tile_global__ void tma_transpose(const float* __restrict__ x, float* __restrict__ y, unsigned rows,
                                              unsigned columns)
{
    x = ct::assume_aligned(x, 16_ic);
    y = ct::assume_aligned(y, 16_ic);
    rows = ct::assume_divisible(rows, 4_ic);
    columns = ct::assume_divisible(columns, 4_ic);
    const auto from = ct::partition_view{ct::tensor_span{x, ct::extents{rows, columns}}, ct::shape{64_ic, 64_ic}};
    const auto to = ct::partition_view{ct::tensor_span{y, ct::extents{columns, rows}}, ct::shape{64_ic, 64_ic}};

    const auto row = ct::bid().y, column = ct::bid().x;     // of the tile
    to.store_masked(ct::transpose(from.load_masked(row, column)), column, row);
}
