// fp8_mma_sync: d = a bT, a m x k and b n x k of e4m3, d of f32, by wmma in tiles of 128 x 128 x 64 per CTA, 64 x 64
// per warp. wmma has no e4m3: a and b are converted to halves, which is exact. Paired with ../ptx/fp8_mma_sync.ptx;
// shapes and launch are in ../pairs/fp8_mma_sync.py. k is a multiple of 16, n of 4.

#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <mma.h>

using namespace nvcuda;

// 8 unused halves after each row shift the next row by 4 banks, so that a fragment and a store find eight rows in
// different banks. A fragment begins at a multiple of 32 bytes, as wmma requires it.
constexpr unsigned SLAB = 64, TILE = 128, ROW = SLAB + 8;
extern __shared__ __align__(128) __half tiles[];

// 16 of e4m3 as 16 halves.
__device__ __forceinline__ void store_halves(__half* to, uint4 from)
{
    const unsigned words[4] = {from.x, from.y, from.z, from.w};
    unsigned halves[8];
    for (unsigned i = 0; i < 8; ++i) {
        const auto two = static_cast<__nv_fp8x2_storage_t>(words[i / 2] >> 16 * (i % 2));
        const __half2 wide = __nv_cvt_fp8x2_to_halfraw2(two, __NV_E4M3);
        halves[i] = reinterpret_cast<const unsigned&>(wide);
    }
    reinterpret_cast<uint4*>(to)[0] = make_uint4(halves[0], halves[1], halves[2], halves[3]);
    reinterpret_cast<uint4*>(to)[1] = make_uint4(halves[4], halves[5], halves[6], halves[7]);
}

extern "C" __global__ void __launch_bounds__(128, 2)
fp8_mma_sync(const unsigned char* __restrict__ a, const unsigned char* __restrict__ b, float* __restrict__ d,
             unsigned m, unsigned n, unsigned k)
{
    __half* a_tile = tiles;
    __half* b_tile = tiles + TILE * ROW;
    const unsigned thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    const unsigned first_row = TILE * blockIdx.y, first_column = TILE * blockIdx.x;

    // The thread copies 16 bytes of rows copy_row + 32 i of both tiles. Eight lanes have eight rows, and a warp still
    // copies whole sectors. Elements outside are zero.
    const unsigned copy_row = thread % 8 + 8 * (thread / 32), copy_column = 16 * (thread / 8 % 4);
    uint4 a_next[4], b_next[4];
    auto load = [&](unsigned k0) {
        const unsigned at = k0 + copy_column;
        #pragma unroll
        for (unsigned i = 0; i < 4; ++i) {
            const size_t row = first_row + copy_row + 32 * i, column = first_column + copy_row + 32 * i;
            a_next[i] = row < m && at < k ? *reinterpret_cast<const uint4*>(a + row * k + at) : uint4();
            b_next[i] = column < n && at < k ? *reinterpret_cast<const uint4*>(b + column * k + at) : uint4();
        }
    };

    const unsigned y = 64 * (warp / 2), x = 64 * (warp % 2);    // of the warp in the tile
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums[4][4];
    #pragma unroll
    for (unsigned i = 0; i < 4; ++i)
        for (unsigned j = 0; j < 4; ++j)
            wmma::fill_fragment(sums[i][j], 0.0f);

    load(0);
    #pragma unroll 1
    for (unsigned k0 = 0; k0 < k; k0 += SLAB) {
        __syncthreads();                // all have read the previous slab
        #pragma unroll
        for (unsigned i = 0; i < 4; ++i) {
            store_halves(a_tile + (copy_row + 32 * i) * ROW + copy_column, a_next[i]);
            store_halves(b_tile + (copy_row + 32 * i) * ROW + copy_column, b_next[i]);
        }
        __syncthreads();
        if (k0 + SLAB < k)
            load(k0 + SLAB);            // these loads arrive while the tensor cores are busy
        #pragma unroll
        for (unsigned step = 0; step < SLAB; step += 16) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> a_part[4];
            for (unsigned i = 0; i < 4; ++i)
                wmma::load_matrix_sync(a_part[i], a_tile + (y + 16 * i) * ROW + step, ROW);
            for (unsigned j = 0; j < 4; ++j) {
                wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::col_major> b_part;
                wmma::load_matrix_sync(b_part, b_tile + (x + 16 * j) * ROW + step, ROW);
                for (unsigned i = 0; i < 4; ++i)
                    wmma::mma_sync(sums[i][j], a_part[i], b_part, sums[i][j]);
            }
        }
    }

    // A fragment does not say where its elements belong: it goes through shared memory, 16 x 16 at a time.
    __syncthreads();
    float* patch = reinterpret_cast<float*>(tiles) + 256 * warp;
    const unsigned r = lane / 4, q = 4 * (lane % 4);                    // four elements per lane: n is a multiple of 4
    #pragma unroll
    for (unsigned i = 0; i < 4; ++i)
        #pragma unroll
        for (unsigned j = 0; j < 4; ++j) {
            wmma::store_matrix_sync(patch, sums[i][j], 16, wmma::mem_row_major);
            __syncwarp();
            for (unsigned s = r; s < 16; s += 8) {
                const unsigned row = first_row + y + 16 * i + s, column = first_column + x + 16 * j + q;
                if (row < m && column < n)
                    *reinterpret_cast<float4*>(d + static_cast<size_t>(row) * n + column) =
                        *reinterpret_cast<const float4*>(patch + 16 * s + q);
            }
            __syncwarp();
        }
}
