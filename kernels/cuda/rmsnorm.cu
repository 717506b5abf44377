// rmsnorm: y[r][c] = x[r][c] * w[c] / sqrt(the mean of x[r]^2 + eps), one CTA per row, which stays in registers.
// Paired with ../ptx/rmsnorm.ptx; shapes and launch are in ../pairs/rmsnorm.py.

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

// 1 over the root of the mean square. __fdividef needs no option and is one MUFU.RCP; 1.0f / columns is a call.
__device__ float scale_of(float squares, float eps, unsigned columns)
{
    return rsqrtf(fmaf(squares, __fdividef(1.0f, columns), eps));
}

// A row of 1024 CHUNKS elements: a thread holds 4 of each chunk.
template <unsigned CHUNKS>
__device__ void held_row(const float4* x, const float4* w, float4* y, float eps)
{
    float4 held[CHUNKS];
#pragma unroll
    for (unsigned k = CHUNKS; k-- > 0;)
        held[k] = x[256 * k];

    float squares = 0.0f;
#pragma unroll
    for (unsigned k = CHUNKS; k-- > 0;) {
        const float4 v = held[k];
        squares = fmaf(v.w, v.w, fmaf(v.z, v.z, fmaf(v.y, v.y, fmaf(v.x, v.x, squares))));
    }
    const float scale = scale_of(block_sum(squares), eps, 1024 * CHUNKS);

#pragma unroll
    for (unsigned k = CHUNKS; k-- > 0;) {
        const float4 v = held[k];
        const float4 g = w[256 * k];
        y[256 * k] = make_float4(v.x * scale * g.x, v.y * scale * g.y, v.z * scale * g.z, v.w * scale * g.w);
    }
}

extern "C" __global__ void __launch_bounds__(256)
rmsnorm(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, float eps, unsigned columns)
{
    const unsigned thread = threadIdx.x;
    x += static_cast<size_t>(blockIdx.x) * columns;
    y += static_cast<size_t>(blockIdx.x) * columns;

    const float4* x_4 = reinterpret_cast<const float4*>(x) + thread;
    const float4* w_4 = reinterpret_cast<const float4*>(w) + thread;
    float4* y_4 = reinterpret_cast<float4*>(y) + thread;
    if (columns == 1024)
        return held_row<1>(x_4, w_4, y_4, eps);
    if (columns == 2048)
        return held_row<2>(x_4, w_4, y_4, eps);
    if (columns == 4096)
        return held_row<4>(x_4, w_4, y_4, eps);
    if (columns == 8192)
        return held_row<8>(x_4, w_4, y_4, eps);

    // Any other row is read twice, by a pointer: an index, x[c], costs a 64-bit multiplication for each element.
    x += thread;
    y += thread;
    w += thread;
    float squares = 0.0f;
    const float* from = x;
    for (unsigned c = thread; c < columns; c += 256, from += 256)
        squares = fmaf(*from, *from, squares);
    const float scale = scale_of(block_sum(squares), eps, columns);

    from = x;
    for (unsigned c = thread; c < columns; c += 256, from += 256, w += 256, y += 256)
        *y = scale * *from * *w;
}
