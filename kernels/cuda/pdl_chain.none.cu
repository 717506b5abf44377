// pdl_chain: y[k] = v + w[k] (v / sqrt(mean(v^2) + eps)), v = y[k - 1] or x: a chain of launches, one for each layer.
// As pdl_chain.cu, but each layer is launched in the usual way: it starts when the previous one has ended.
//
// A warp computes one element of y[k]: it multiplies its row of w by v, and adds up the squares of v in the same loop.

extern "C" __global__ void __launch_bounds__(256)
pdl_chain(const float* x, const float* w, float* y, float share, float eps, unsigned n, unsigned layer)
{
    const unsigned lane = threadIdx.x % 32;
    const unsigned row = 8 * blockIdx.x + threadIdx.x / 32;
    const unsigned of_row = layer * n + row;
    const float* v = layer ? y + (layer - 1) * n : x;
    const float4* values = (const float4*)v + lane;
    const float4* weights = (const float4*)(w + (size_t)of_row * n) + lane;

    float4 ahead[2];
    for (unsigned k = 0; k < 2; k++)
        ahead[k] = weights[32 * k];

    float product = 0.0f, squares = 0.0f;
#pragma unroll 1  // with more registers there would be no room for the CTAs of the next layer
    for (unsigned left = n;;) {
        for (unsigned k = 0; k < 2; k++) {
            const float4 some = values[32 * k];
            product = fmaf(ahead[k].x, some.x, product);
            product = fmaf(ahead[k].y, some.y, product);
            product = fmaf(ahead[k].z, some.z, product);
            product = fmaf(ahead[k].w, some.w, product);
            squares = fmaf(some.x, some.x, squares);
            squares = fmaf(some.y, some.y, squares);
            squares = fmaf(some.z, some.z, squares);
            squares = fmaf(some.w, some.w, squares);
        }
        left -= 256;
        if (left == 0)
            break;
        values += 64;
        weights += 64;
        for (unsigned k = 0; k < 2; k++)
            ahead[k] = weights[32 * k];
    }
    for (unsigned distance = 16; distance > 0; distance /= 2) {
        product += __shfl_down_sync(0xffffffff, product, distance);
        squares += __shfl_down_sync(0xffffffff, squares, distance);
    }
    if (lane == 0)
        y[of_row] = fmaf(product, rsqrtf(fmaf(squares, share, eps)), v[row]);
}
