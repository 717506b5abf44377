// softmax: y[r][c] = exp(x[r][c]) / the sum of exp(x[r]), a CTA a row, in CUDA Tile C++: no threads, no instruction chosen.
// For the pair ../pairs/softmax.py, with its own launch. A row of a known length is one tile, and is read once.

#include <cuda_tile.h>

namespace ct = cuda::tiles;
using namespace ct::literals;

constexpr float LOG2_E = 1.44269504f;
constexpr float LEAST = -1e38f;     // below any logit; finite, so that LEAST - LEAST is 0
constexpr unsigned TILE = 1024;     // columns of a longer row that are read at a time

template <unsigned COLUMNS>
__tile__ void held_row(const float* __restrict__ x, float* __restrict__ y)
{
    const auto column = ct::iota<ct::tile<unsigned, ct::shape<COLUMNS>>>();
    x = ct::assume_aligned(x, 16_ic);
    y = ct::assume_aligned(y, 16_ic);
    const auto held = ct::load(x + column);
    const auto powers = ct::exp2((held - ct::reduce_max(held, 0_ic)) * LOG2_E);
    ct::store(y + column, powers * (1.0f / ct::sum(powers, 0_ic)));
}

// A row of any length, which is read three times.
__tile__ void any_row(const float* __restrict__ x, float* __restrict__ y, unsigned columns)
{
    using Floats = ct::tile<float, ct::shape<TILE>>;
    const auto lane = ct::iota<ct::tile<unsigned, ct::shape<TILE>>>();
    auto maxima = ct::full<Floats>(LEAST);
    for (unsigned first = 0; first < columns; first += TILE)
        maxima = ct::max(maxima, ct::load_masked(x + (first + lane), first + lane < columns, LEAST));
    const auto largest = ct::reduce_max(maxima, 0_ic);

    auto sums = ct::full<Floats>(0.0f);
    for (unsigned first = 0; first < columns; first += TILE) {
        const auto held = ct::load_masked(x + (first + lane), first + lane < columns, LEAST);
        sums = sums + ct::exp2((held - largest) * LOG2_E);
    }
    const auto scale = 1.0f / ct::sum(sums, 0_ic);

    for (unsigned first = 0; first < columns; first += TILE) {
        const auto inside = first + lane < columns;
        const auto held = ct::load_masked(x + (first + lane), inside, LEAST);
        ct::store_masked(y + (first + lane), ct::exp2((held - largest) * LOG2_E) * scale, inside);
    }
}

extern "C" __tile_global__ void softmax(const float* __restrict__ x, float* __restrict__ y, unsigned columns)
{
    const size_t first = static_cast<size_t>(ct::bid().x) * columns;
    x += first;
    y += first;
    if (columns == 128)
        held_row<128>(x, y);
    else if (columns == 1024)
        held_row<1024>(x, y);
    else if (columns == 2048)
        held_row<2048>(x, y);
    else if (columns == 4096)
        held_row<4096>(x, y);
    else if (columns == 8192)
        held_row<8192>(x, y);
    else
        any_row(x, y, columns);
}
