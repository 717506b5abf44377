// endless: y[i] = i. This side does no harm.
// Paired with ../ptx/endless.ptx; shapes and launch are in ../pairs/endless.py.

extern "C" __global__ void endless(unsigned* y, unsigned n)
{
    if (threadIdx.x < n)
        y[threadIdx.x] = threadIdx.x;
}
