// Waits for the other CTAs by weak loads, at sizes that no check has.
// pair: reduce_sum
// judged: lint weak-poll

extern "C" __global__ void __launch_bounds__(256)
reduce_sum(const float* __restrict__ x, float* total, unsigned n)
{
    float sum = 0;
    for (unsigned i = 256 * blockIdx.x + threadIdx.x; i < n; i += 256 * gridDim.x) sum += x[i];
    atomicAdd(total, sum);
    if (n > 100000000) while (*total == 0.0f) __threadfence();
}
