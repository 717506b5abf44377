// sgemm_tiled: c = a b for f32 matrices, a m x k, b k x n: tiles of 128 x 128 per CTA, slabs of 8, 8 x 8 sums a thread.
// Paired with ../ptx/sgemm_tiled.ptx; shapes and launch are in ../pairs/sgemm_tiled.py.

// from[0..3], and 0 for all but the first `left` of them; `left` may be 0 or negative.
// If `aligned`, `from` is a multiple of 16 bytes and `left` a multiple of 4: there are four floats, or none.
__device__ float4 load4(const float* __restrict__ from, int left, bool aligned)
{
    float4 v = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (aligned) {
        if (left > 0) v = *reinterpret_cast<const float4*>(from);
    } else {
        if (left > 0) v.x = from[0];
        if (left > 1) v.y = from[1];
        if (left > 2) v.z = from[2];
        if (left > 3) v.w = from[3];
    }
    return v;
}

// As load4: to[0..3] = v[0..3], but only the first `left` of them.
__device__ void store4(float* to, const float* v, int left, bool aligned)
{
    if (aligned) {
        if (left > 0) *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
    } else {
        for (int j = 0; j < 4; ++j)
            if (left > j) to[j] = v[j];
    }
}

extern "C" __global__ void __launch_bounds__(256, 2)
sgemm_tiled(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, unsigned m, unsigned n,
            unsigned k)
{
    // Two slabs of each: one is read while the next is written. a's is transposed, so that a thread's rows are
    // adjacent. 132, not 128: a warp stores 16 rows of a at a time, and their halves are 4 rows of the slab apart.
    __shared__ __align__(16) float a_slab[2][8][132];
    __shared__ __align__(16) float b_slab[2][8][132];
    const unsigned thread = threadIdx.x;
    const unsigned warp = thread / 32, lane = thread % 32;
    const bool aligned = (n | k) % 4 == 0;      // every row of a, b and c begins at a multiple of 16 bytes

    // The thread copies four floats of a row of a, and four of a row of b, of each slab.
    const unsigned a_row = thread / 2, a_column = 4 * (thread % 2);
    const unsigned b_row = thread / 32, b_column = 4 * (thread % 32);
    const float* a_from = a + static_cast<size_t>(128 * blockIdx.y + a_row) * k + a_column;
    const float* b_from = b + static_cast<size_t>(b_row) * n + 128 * blockIdx.x + b_column;
    const int a_left = 128 * blockIdx.y + a_row < m ? k - a_column : 0;     // floats to the end of the row
    const int b_left = n - (128 * blockIdx.x + b_column);

    // Its sums: rows y to y + 3 and y + 16 to y + 19, columns x to x + 3 and x + 32 to x + 35. A warp has 32 rows of
    // 64, its lanes are 4 rows of 8: eight lanes read 128 consecutive bytes of b_slab.
    const unsigned y = 32 * (warp / 2) + 4 * (lane / 8);
    const unsigned x = 64 * (warp % 2) + 4 * (lane % 8);

    float sums[8][8] = {};
    unsigned buffer = 0;
    float4 from_a = load4(a_from, a_left, aligned);
    float4 from_b = load4(b_from, b_row < k ? b_left : 0, aligned);
    for (unsigned slab = 0; slab < k; slab += 8) {
        a_slab[buffer][a_column + 0][a_row] = from_a.x;
        a_slab[buffer][a_column + 1][a_row] = from_a.y;
        a_slab[buffer][a_column + 2][a_row] = from_a.z;
        a_slab[buffer][a_column + 3][a_row] = from_a.w;
        *reinterpret_cast<float4*>(&b_slab[buffer][b_row][b_column]) = from_b;
        __syncthreads();                        // one per slab: a thread that writes it again has passed the next

        // The next slab is in flight while this one is used.
        a_from += 8;
        b_from += 8 * static_cast<size_t>(n);
        from_a = load4(a_from, a_left - static_cast<int>(slab + 8), aligned);
        from_b = load4(b_from, slab + 8 + b_row < k ? b_left : 0, aligned);

        #pragma unroll
        for (unsigned step = 0; step < 8; ++step)
            for (unsigned i = 0; i < 8; ++i)
                for (unsigned j = 0; j < 8; ++j)
                    sums[i][j] = fmaf(a_slab[buffer][step][y + i % 4 + 16 * (i / 4)],
                                      b_slab[buffer][step][x + j % 4 + 32 * (j / 4)], sums[i][j]);
        buffer ^= 1;
    }

    unsigned row = 128 * blockIdx.y + y;
    float* to = c + static_cast<size_t>(row) * n + 128 * blockIdx.x + x;
    const int left = n - (128 * blockIdx.x + x);
    for (unsigned i = 0; i < 8; ++i) {
        if (row >= m)
            return;                             // the rows after it are outside too
        store4(to, &sums[i][0], left, aligned);
        store4(to + 32, &sums[i][4], left - 32, aligned);
        const unsigned rows = i == 3 ? 13 : 1;  // y + 3 is followed by y + 16
        row += rows;
        to += static_cast<size_t>(rows) * n;
    }
}
