// triad: a[i] = b[i] + s * c[i], in tiles of 1024 elements. CUDA Tile C++: no threads, and no instruction is chosen here.
// For the pair ../pairs/triad.py, with its own launch: a CTA for each tile.

#include <cuda_tile.h>

namespace ct = cuda::tiles;
using namespace ct::literals;

constexpr unsigned TILE = 1024;

extern "C" __tile_global__ void triad(float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ c,
                                      float s, unsigned n)
{
    a = ct::assume_aligned(a, 16_ic);
    b = ct::assume_aligned(b, 16_ic);
    c = ct::assume_aligned(c, 16_ic);
    const unsigned first = TILE * ct::bid().x;
    const auto i = first + ct::iota<ct::tile<unsigned, ct::shape<TILE>>>();

    // A whole tile is a case of its own, so that its accesses have 16 bytes. Accesses under a mask have four.
    if (n - first >= TILE) {
        ct::store(a + i, ct::fma(ct::load(c + i), s, ct::load(b + i)));
    } else {
        const auto inside = i < n;
        ct::store_masked(a + i, ct::fma(ct::load_masked(c + i, inside), s, ct::load_masked(b + i, inside)), inside);
    }
}
