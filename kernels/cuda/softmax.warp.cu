// softmax.warp: y[r][c] = exp(x[r][c]) / the sum of exp(x[r]), for rows of 128 columns, one warp per row.
// Paired with ../ptx/softmax.warp.ptx; shapes and launch are in ../pairs/softmax.warp.py.

constexpr unsigned ALL = 0xffffffff;
constexpr float LOG2_E = 1.44269504f;

extern "C" __global__ void __launch_bounds__(256)
softmax_warp(const float* __restrict__ x, float* __restrict__ y, unsigned rows)
{
    const unsigned row = 8 * blockIdx.x + threadIdx.x / 32;
    if (row >= rows)
        return;
    const unsigned at = 256 * blockIdx.x + threadIdx.x;     // 32 float4s per row: the grid's rows follow one another
    float4 v = reinterpret_cast<const float4*>(x)[at];

    float largest = fmaxf(fmaxf(fmaxf(v.x, v.y), v.z), v.w);
    for (unsigned distance = 16; distance > 0; distance /= 2)
        largest = fmaxf(largest, __shfl_xor_sync(ALL, largest, distance));

    const float base = -largest * LOG2_E;                   // exp(x - largest) = 2^(x log2(e) + base)
    v.x = exp2f(fmaf(v.x, LOG2_E, base));
    v.y = exp2f(fmaf(v.y, LOG2_E, base));
    v.z = exp2f(fmaf(v.z, LOG2_E, base));
    v.w = exp2f(fmaf(v.w, LOG2_E, base));
    float sum = v.x + v.y + v.z + v.w;
    for (unsigned distance = 16; distance > 0; distance /= 2)
        sum += __shfl_xor_sync(ALL, sum, distance);

    const float scale = __fdividef(1.0f, sum);
    reinterpret_cast<float4*>(y)[at] = make_float4(v.x * scale, v.y * scale, v.z * scale, v.w * scale);
}
