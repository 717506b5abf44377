// new_kernel: y[i] = a * x[i], one element per thread.
// Paired with ../ptx/new_kernel.ptx; shapes and launch are in ../pairs/new_kernel.py.

extern "C" __global__ void __launch_bounds__(256)
new_kernel(const float* __restrict__ x, float* __restrict__ y, float a, unsigned n)
{
    const unsigned i = 256 * blockIdx.x + threadIdx.x;

    if (i < n)                          // the last block is partial unless 256 divides n
        y[i] = a * x[i];
}
