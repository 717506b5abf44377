// softmax: y[r][c] = exp(x[r][c]) / the sum of exp(x[r]), one CTA per row, which it reads three times.
// Next to ../ptx/softmax.passes.ptx; shapes and launch are in ../pairs/softmax.py.

// The CTA's 256 values of v combined into one, which every thread returns.
template <class Fold>
__device__ float block_fold(float v, float* warps, Fold fold)
{
    for (unsigned distance = 16; distance > 0; distance /= 2)
        v = fold(v, __shfl_xor_sync(0xffffffff, v, distance));
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = v;
    __syncthreads();
    v = warps[threadIdx.x % 8];         // every warp repeats this step, which is cheaper than a second barrier
    for (unsigned distance = 4; distance > 0; distance /= 2)
        v = fold(v, __shfl_xor_sync(0xffffffff, v, distance));
    return v;
}

extern "C" __global__ void __launch_bounds__(256)
softmax(const float* __restrict__ x, float* __restrict__ y, unsigned columns)
{
    __shared__ float warp_maxima[8];
    __shared__ float warp_sums[8];      // not warp_maxima again: a slow warp may still read it
    const unsigned thread = threadIdx.x;
    x += static_cast<size_t>(blockIdx.x) * columns + thread;
    y += static_cast<size_t>(blockIdx.x) * columns + thread;

    // A pointer moves along the row: an index, x[c], costs a 64-bit multiplication for each element.
    float largest = __int_as_float(0xff800000);     // -infinity, for which NVRTC has no name
    const float* from = x;
    for (unsigned c = thread; c < columns; c += 256, from += 256)
        largest = fmaxf(largest, *from);
    largest = block_fold(largest, warp_maxima, [](float a, float b) { return fmaxf(a, b); });

    const float log2_e = 1.44269504f;
    const float base = -largest * log2_e;          // exp(x - largest) = 2^(x log2(e) + base)

    float sum = 0.0f;
    from = x;
    for (unsigned c = thread; c < columns; c += 256, from += 256)
        sum += exp2f(fmaf(*from, log2_e, base));
    sum = block_fold(sum, warp_sums, [](float a, float b) { return a + b; });

    const float scale = __fdividef(1.0f, sum);
    from = x;
    for (unsigned c = thread; c < columns; c += 256, from += 256, y += 256)
        *y = exp2f(fmaf(*from, log2_e, base)) * scale;
}
