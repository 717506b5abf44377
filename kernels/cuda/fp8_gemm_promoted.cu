// fp8_gemm_promoted: d = the sum over slabs of 128 of k of (a bT) a_scale b_scale, a m x k and b n x k of e4m3, d of
// bf16, by wmma in tiles of 128 x 128 per CTA, 32 x 64 per warp. wmma has no e4m3: a and b become halves, exactly.
// Paired with ../ptx/fp8_gemm_promoted.sm_90a.ptx; shapes and launch are in ../pairs/fp8_gemm_promoted.py. k is a
// multiple of 128, m of 4, n of 8.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <mma.h>

using namespace nvcuda;

// A tensor map, which only the PTX uses.
struct __align__(64) Map { char bytes[128]; };

// 8 unused halves after each row shift the next row by 4 banks, so that a fragment and a store find eight rows in
// different banks. A fragment begins at a multiple of 32 bytes, as wmma requires it.
constexpr unsigned SLAB = 128, TILE = 128, ROW = SLAB + 8;
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

extern "C" __global__ void __launch_bounds__(256, 1)
fp8_gemm_promoted(const unsigned char* __restrict__ a, const unsigned char* __restrict__ b,
                  const float* __restrict__ a_scale, const float* __restrict__ b_scale, __nv_bfloat16* __restrict__ d,
                  const __grid_constant__ Map map_a, const __grid_constant__ Map map_b,
                  const __grid_constant__ Map map_s, const __grid_constant__ Map map_d,
                  unsigned m, unsigned n, unsigned k)
{
    __half* a_tile = tiles;
    __half* b_tile = tiles + TILE * ROW;
    float* scales = reinterpret_cast<float*>(tiles + 2 * TILE * ROW);     // 16 equal columns for each row of a
    const unsigned thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    const unsigned first_row = TILE * blockIdx.y, first_column = TILE * blockIdx.x, slabs = k / SLAB;

    // The thread copies 16 bytes of rows copy_row + 32 i of both tiles. Eight lanes have eight rows, and a warp still
    // copies whole sectors.
    const unsigned copy_row = thread % 8 + 8 * (thread / 64), copy_column = 16 * (thread / 8 % 8);
    uint4 a_next[4], b_next[4];
    auto load = [&](unsigned slab) {
        #pragma unroll
        for (unsigned i = 0; i < 4; ++i) {
            const size_t row = first_row + copy_row + 32 * i, column = first_column + copy_row + 32 * i;
            const unsigned at = slab * SLAB + copy_column;
            a_next[i] = row < m ? *reinterpret_cast<const uint4*>(a + row * k + at) : uint4();
            b_next[i] = column < n ? *reinterpret_cast<const uint4*>(b + column * k + at) : uint4();
        }
    };

    const unsigned y = 32 * (warp / 2), x = 64 * (warp % 2);    // of the warp in the tile
    using Sums = wmma::fragment<wmma::accumulator, 16, 16, 16, float>;
    Sums totals[2][4];
    #pragma unroll
    for (unsigned i = 0; i < 2; ++i)
        for (unsigned j = 0; j < 4; ++j)
            wmma::fill_fragment(totals[i][j], 0.0f);

    load(0);
    #pragma unroll 1
    for (unsigned slab = 0; slab < slabs; ++slab) {
        __syncthreads();                // all have read the previous slab
        #pragma unroll
        for (unsigned i = 0; i < 4; ++i) {
            store_halves(a_tile + (copy_row + 32 * i) * ROW + copy_column, a_next[i]);
            store_halves(b_tile + (copy_row + 32 * i) * ROW + copy_column, b_next[i]);
        }
        // A fragment hides which rows a lane has, but all fragments of one kind have the same layout. So the scales
        // become a fragment too: a matrix in which each column has the scales of the rows.
        const float of_b = b_scale[static_cast<size_t>(blockIdx.x) * slabs + slab];
        #pragma unroll
        for (unsigned i = thread; i < 4 * TILE; i += 256) {     // four at a time
            const unsigned row = first_row + i / 4;
            const float scale = row < m ? a_scale[static_cast<size_t>(slab) * m + row] * of_b : 0.0f;
            reinterpret_cast<float4*>(scales)[i] = make_float4(scale, scale, scale, scale);
        }
        __syncthreads();
        if (slab + 1 < slabs)
            load(slab + 1);             // these loads arrive while the tensor cores are busy

        Sums sums[2][4];
        #pragma unroll
        for (unsigned i = 0; i < 2; ++i)
            for (unsigned j = 0; j < 4; ++j)
                wmma::fill_fragment(sums[i][j], 0.0f);
        #pragma unroll
        for (unsigned step = 0; step < SLAB; step += 16) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> a_part[2];
            for (unsigned i = 0; i < 2; ++i)
                wmma::load_matrix_sync(a_part[i], a_tile + (y + 16 * i) * ROW + step, ROW);
            for (unsigned j = 0; j < 4; ++j) {
                wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::col_major> b_part;
                wmma::load_matrix_sync(b_part, b_tile + (x + 16 * j) * ROW + step, ROW);
                for (unsigned i = 0; i < 2; ++i)
                    wmma::mma_sync(sums[i][j], a_part[i], b_part, sums[i][j]);
            }
        }
        #pragma unroll
        for (unsigned i = 0; i < 2; ++i) {
            Sums factors;
            wmma::load_matrix_sync(factors, scales + 16 * (y + 16 * i), 16, wmma::mem_row_major);
            for (unsigned j = 0; j < 4; ++j)
                for (unsigned e = 0; e < factors.num_elements; ++e)
                    totals[i][j].x[e] += factors.x[e] * sums[i][j].x[e];
        }
    }

    // d goes through shared memory, 16 x 16 at a time, so that it can be stored in rows.
    __syncthreads();
    float* patch = reinterpret_cast<float*>(tiles) + 16 * 20 * warp;      // rows of 20, 16 of them in use
    const unsigned r = lane / 2, q = 8 * (lane % 2);
    #pragma unroll
    for (unsigned i = 0; i < 2; ++i)
        #pragma unroll
        for (unsigned j = 0; j < 4; ++j) {
            wmma::store_matrix_sync(patch, totals[i][j], 20, wmma::mem_row_major);
            __syncwarp();
            const unsigned row = first_row + y + 16 * i + r, column = first_column + x + 16 * j + q;
            if (row < m && column < n) {                                  // n is a multiple of 8
                const float4 low = *reinterpret_cast<const float4*>(patch + 20 * r + q);
                const float4 high = *reinterpret_cast<const float4*>(patch + 20 * r + q + 4);
                __nv_bfloat162 pairs[4] = {
                    __floats2bfloat162_rn(low.x, low.y), __floats2bfloat162_rn(low.z, low.w),
                    __floats2bfloat162_rn(high.x, high.y), __floats2bfloat162_rn(high.z, high.w)};
                *reinterpret_cast<uint4*>(d + static_cast<size_t>(row) * n + column) =
                    reinterpret_cast<const uint4&>(pairs);
            }
            __syncwarp();
        }
}
