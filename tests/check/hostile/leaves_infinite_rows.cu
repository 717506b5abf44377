// Writes nothing where a row begins with infinity: there the results are NaN, as is what it leaves in the output.
// pair: softmax
// judged: values output-unwritten

extern "C" __global__ void softmax(const float* x, float* y, unsigned columns)
{
    __shared__ float values[256];
    const unsigned thread = threadIdx.x;
    x += static_cast<size_t>(blockIdx.x) * columns;
    y += static_cast<size_t>(blockIdx.x) * columns;
    if (isinf(x[0]) && x[0] > 0.0f)
        return;

    float largest = __int_as_float(0xff800000);
    for (unsigned c = thread; c < columns; c += 256)
        largest = fmaxf(largest, x[c]);
    values[thread] = largest;
    __syncthreads();
    for (unsigned k = 0; k < 256; ++k)
        largest = fmaxf(largest, values[k]);
    __syncthreads();

    float sum = 0.0f;
    for (unsigned c = thread; c < columns; c += 256)
        sum += expf(x[c] - largest);
    __syncthreads();
    values[thread] = sum;
    __syncthreads();
    for (unsigned stride = 128; stride > 0; stride /= 2) {
        if (thread < stride)
            values[thread] += values[thread + stride];
        __syncthreads();
    }
    sum = values[0];
    for (unsigned c = thread; c < columns; c += 256)
        y[c] = expf(x[c] - largest) * (1.0f / sum);
}
