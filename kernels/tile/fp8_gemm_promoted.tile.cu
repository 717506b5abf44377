// fp8_gemm_promoted: d = the sum over slabs of 128 of k of (a bT) a_scale b_scale, a m x k and b n x k of e4m3, d of
// bf16, in tiles of 128 x 128. CUDA Tile C++: no threads, and no instruction is chosen here. For the pair
// ../pairs/fp8_gemm_promoted.py, with its own launch: a CTA for each tile of d, whose threads and shared memory the
// compiler chooses. k is a multiple of 128, m of 4, n of 8.
//
// The pair's tensor maps are no parameters of it: where the compiler wants tensor maps, it adds its own.

#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_tile.h>

namespace ct = cuda::tiles;
using namespace ct::literals;

extern "C" __tile_global__ void fp8_gemm_promoted(const __nv_fp8_e4m3* __restrict__ a,
                                                  const __nv_fp8_e4m3* __restrict__ b,
                                                  const float* __restrict__ a_scale, const float* __restrict__ b_scale,
                                                  __nv_bfloat16* __restrict__ d, int m, int n, int k)
{
    a = ct::assume_aligned(a, 16_ic);
    b = ct::assume_aligned(b, 16_ic);
    a_scale = ct::assume_aligned(a_scale, 16_ic);
    d = ct::assume_aligned(d, 16_ic);
    m = ct::assume_divisible(m, 4_ic);
    n = ct::assume_divisible(n, 8_ic);
    k = ct::assume_divisible(k, 128_ic);
    const auto a_tiles = ct::partition_view{ct::tensor_span{a, ct::extents{m, k}}, ct::shape{128_ic, 128_ic}};
    const auto b_tiles = ct::partition_view{ct::tensor_span{b, ct::extents{n, k}}, ct::shape{128_ic, 128_ic}};
    const auto d_tiles = ct::partition_view{ct::tensor_span{d, ct::extents{m, n}}, ct::shape{128_ic, 128_ic}};
    // For each slab, a scale for each row of a, and one for each 128 rows of b.
    const auto a_scales = ct::partition_view{ct::tensor_span{a_scale, ct::extents{k / 128, m}},
                                             ct::shape{1_ic, 128_ic}};
    const auto b_scales = ct::partition_view{ct::tensor_span{b_scale, ct::extents{(n + 127) / 128, k / 128}},
                                             ct::shape{1_ic, 1_ic}};

    const auto row = ct::bid().y, column = ct::bid().x;     // of the tile of d
    using Sums = ct::tile<float, ct::shape<128, 128>>;
    auto sums = ct::full<Sums>(0.0f);
    for (int slab = 0; slab < k / 128; ++slab) {
        const auto product = ct::mma(a_tiles.load_masked(row, slab), ct::transpose(b_tiles.load_masked(column, slab)),
                                     ct::full<Sums>(0.0f));
        const auto scales = ct::transpose(a_scales.load_masked(slab, row)) * b_scales.load_masked(column, slab);
        sums = sums + product * scales;                     // in f32: this is the promotion
    }
    d_tiles.store_masked(ct::element_cast<__nv_bfloat16>(sums), row, column);
}
