// C = A B for f32 matrices of n x n, n a multiple of 128: a tile of 128 x 128 a CTA, slabs of 8, 8 x 8 results a thread.
// The classic shape of a register-tiled SGEMM, for the emulator's speed; nothing is tuned for a GPU.

extern "C" __global__ void __launch_bounds__(256)
sgemm(const float* a, const float* b, float* c, unsigned n)
{
    __shared__ float a_slab[8][128];
    __shared__ float b_slab[8][128];
    const unsigned t = threadIdx.x;
    const unsigned row = 128 * blockIdx.y, column = 128 * blockIdx.x;
    const unsigned thread_row = 8 * (t / 16), thread_column = 8 * (t % 16);

    float sums[8][8] = {};
    for (unsigned k = 0; k < n; k += 8) {
        const float4 from_a = *(const float4*)&a[(row + t / 2) * n + k + 4 * (t % 2)];
        const float4 from_b = *(const float4*)&b[(k + t / 32) * n + column + 4 * (t % 32)];
        __syncthreads();
        a_slab[4 * (t % 2) + 0][t / 2] = from_a.x;
        a_slab[4 * (t % 2) + 1][t / 2] = from_a.y;
        a_slab[4 * (t % 2) + 2][t / 2] = from_a.z;
        a_slab[4 * (t % 2) + 3][t / 2] = from_a.w;
        *(float4*)&b_slab[t / 32][4 * (t % 32)] = from_b;
        __syncthreads();
        for (unsigned j = 0; j < 8; ++j)
            for (unsigned y = 0; y < 8; ++y)
                for (unsigned x = 0; x < 8; ++x)
                    sums[y][x] = fmaf(a_slab[j][thread_row + y], b_slab[j][thread_column + x], sums[y][x]);
    }
    for (unsigned y = 0; y < 8; ++y)
        for (unsigned x = 0; x < 8; x += 4)
            *(float4*)&c[(row + thread_row + y) * n + column + thread_column + x] =
                make_float4(sums[y][x], sums[y][x + 1], sums[y][x + 2], sums[y][x + 3]);
}
