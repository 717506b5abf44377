// rmsnorm: y[r][c] = x[r][c] * w[c] / sqrt(the mean of x[r]^2 + eps), one CTA per row, which it reads twice.
// Next to ../ptx/rmsnorm.passes.ptx; shapes and launch are in ../pairs/rmsnorm.py.

// The sum of the CTA's 256 values of v, which every thread returns.
__device__ float block_sum(float v)
{
    __shared__ float warp_sums[8];
    for (unsigned distance = 16; distance > 0; distance /= 2)
        v += __shfl_xor_sync(0xffffffff, v, distance);
    if (threadIdx.x % 32 == 0)
        warp_sums[threadIdx.x / 32] = v;
    __syncthreads();
    v = warp_sums[threadIdx.x % 8];     // every warp repeats the addition, which is cheaper than a second barrier
    for (unsigned distance = 4; distance > 0; distance /= 2)
        v += __shfl_xor_sync(0xffffffff, v, distance);
    return v;
}

extern "C" __global__ void __launch_bounds__(256)
rmsnorm(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, float eps, unsigned columns)
{
    const unsigned thread = threadIdx.x;
    x += static_cast<size_t>(blockIdx.x) * columns + thread;
    y += static_cast<size_t>(blockIdx.x) * columns + thread;
    w += thread;

    // A pointer moves along the row: an index, x[c], costs a 64-bit multiplication for each element.
    float squares = 0.0f;
    const float* from = x;
    for (unsigned c = thread; c < columns; c += 256, from += 256)
        squares = fmaf(*from, *from, squares);
    squares = block_sum(squares);

    const float scale = rsqrtf(fmaf(squares, __fdividef(1.0f, columns), eps));
    from = x;
    for (unsigned c = thread; c < columns; c += 256, from += 256, w += 256, y += 256)
        *y = *from * scale * *w;
}
