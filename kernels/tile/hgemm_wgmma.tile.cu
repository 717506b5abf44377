// hgemm_wgmma: c = a b, a m x k and b k x n of f16, c of f32, in tiles of 128 x 128 x 64. CUDA Tile C++: no threads, and
// no instruction is chosen here. For the pair ../pairs/hgemm_wgmma.py, with its own launch: a CTA for each tile of c,
// whose threads and shared memory the compiler chooses. n and k are multiples of 8.
//
// The pair's tensor maps are no parameters of it: where the compiler wants tensor maps, it adds its own.

#include <cuda_fp16.h>
#include <cuda_tile.h>

namespace ct = cuda::tiles;
using namespace ct::literals;

extern "C" __tile_global__ void hgemm_wgmma(const __half* __restrict__ a, const __half* __restrict__ b,
                                            float* __restrict__ c, int m, int n, int k)
{
    a = ct::assume_aligned(a, 16_ic);
    b = ct::assume_aligned(b, 16_ic);
    c = ct::assume_aligned(c, 16_ic);
    n = ct::assume_divisible(n, 8_ic);
    k = ct::assume_divisible(k, 8_ic);
    const auto a_tiles = ct::partition_view{ct::tensor_span{a, ct::extents{m, k}}, ct::shape{128_ic, 64_ic}};
    const auto b_tiles = ct::partition_view{ct::tensor_span{b, ct::extents{k, n}}, ct::shape{64_ic, 128_ic}};
    const auto c_tiles = ct::partition_view{ct::tensor_span{c, ct::extents{m, n}}, ct::shape{128_ic, 128_ic}};

    const auto row = ct::bid().y, column = ct::bid().x;     // of the tile of c
    auto sums = ct::full<ct::tile<float, ct::shape<128, 128>>>(0.0f);
    for (int slab = 0; slab < (k + 63) / 64; ++slab)        // elements outside a and b are zero
        sums = ct::mma(a_tiles.load_masked(row, slab), b_tiles.load_masked(slab, column), sums);
    c_tiles.store_masked(sums, row, column);
}
