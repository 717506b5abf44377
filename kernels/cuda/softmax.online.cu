// softmax: y[r][c] = exp(x[r][c]) / the sum of exp(x[r]), one CTA per row, which is read twice.
// As softmax.cu, where no row stays in registers; shapes and launch are in ../pairs/softmax.py.

constexpr float LOG2_E = 1.44269504f;
constexpr float LEAST = -1e38f;     // below any logit, and finite, so that LEAST - LEAST is 0

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

__device__ float block_max(float v)
{
    __shared__ float warp_maxima[8];
    return block_fold(v, warp_maxima, [](float a, float b) { return fmaxf(a, b); });
}

__device__ float block_sum(float v)
{
    __shared__ float warp_sums[8];      // not warp_maxima again: a slow warp may still read it
    return block_fold(v, warp_sums, [](float a, float b) { return a + b; });
}

__device__ float largest_of(float4 v, float largest)
{
    return fmaxf(fmaxf(fmaxf(fmaxf(largest, v.x), v.y), v.z), v.w);
}

// exp(v - largest) = 2^(v log2(e) + base): a subtraction and a multiplication in one fma.
__device__ float4 powers_of(float4 v, float base)
{
    return make_float4(exp2f(fmaf(v.x, LOG2_E, base)), exp2f(fmaf(v.y, LOG2_E, base)),
                       exp2f(fmaf(v.z, LOG2_E, base)), exp2f(fmaf(v.w, LOG2_E, base)));
}

__device__ float sum_of(float4 v, float sum)
{
    return sum + v.x + v.y + v.z + v.w;
}

__device__ float4 scaled(float4 v, float scale)
{
    return make_float4(v.x * scale, v.y * scale, v.z * scale, v.w * scale);
}

// 4 N more elements of a row: updates the maximum so far and the sum of exp(x - maximum).
template <unsigned N>
__device__ void absorb(const float4 (&v)[N], float& largest, float& sum)
{
    float larger = largest;
#pragma unroll
    for (unsigned k = 0; k < N; ++k)
        larger = largest_of(v[k], larger);
    sum *= exp2f((largest - larger) * LOG2_E);
    largest = larger;
    const float base = -larger * LOG2_E;
#pragma unroll
    for (unsigned k = 0; k < N; ++k)
        sum = sum_of(powers_of(v[k], base), sum);
}

// A row of any length, read twice: by 16 bytes, except for up to 3 elements before and 3 after the aligned part.
__device__ void any_row(const float* x, float* y, unsigned columns, unsigned misaligned)
{
    const unsigned thread = threadIdx.x;
    const unsigned head = min((4 - misaligned) % 4, columns);
    const unsigned vectors = (columns - head) / 4;
    const float4* x_4 = reinterpret_cast<const float4*>(x + head);
    float4* y_4 = reinterpret_cast<float4*>(y + head);

    // Threads 0 to 2 have one element of the head each, 4 to 6 of the tail.
    const unsigned edge = thread < 4 ? thread : head + 4 * vectors + (thread - 4);
    const bool has_edge = thread < 4 ? thread < head : edge < columns;
    const float edge_x = has_edge ? x[edge] : __int_as_float(0xff800000);
    float largest = fmaxf(edge_x, LEAST);
    float sum = exp2f(fmaf(edge_x, LOG2_E, -largest * LOG2_E));

    unsigned i = thread;
    for (; i + 768 < vectors; i += 1024) {
        const float4 v[4] = {x_4[i], x_4[i + 256], x_4[i + 512], x_4[i + 768]};
        absorb(v, largest, sum);
    }
    for (; i < vectors; i += 256) {
        const float4 v[1] = {x_4[i]};
        absorb(v, largest, sum);
    }

    const float row_largest = block_max(largest);
    const float base = -row_largest * LOG2_E;
    sum *= exp2f((largest - row_largest) * LOG2_E);
    // __fdividef needs no option and is one MUFU.RCP; 1.0f / sum is a call.
    const float scale = __fdividef(1.0f, block_sum(sum));
#pragma unroll 4
    for (i = thread; i < vectors; i += 256)
        y_4[i] = scaled(powers_of(x_4[i], base), scale);
    if (has_edge)
        y[edge] = exp2f(fmaf(edge_x, LOG2_E, base)) * scale;
}

extern "C" __global__ void __launch_bounds__(256)
softmax(const float* __restrict__ x, float* __restrict__ y, unsigned columns)
{
    const size_t first = static_cast<size_t>(blockIdx.x) * columns;
    any_row(x + first, y + first, columns, first % 4);
}
