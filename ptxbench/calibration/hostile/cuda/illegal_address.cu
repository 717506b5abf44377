// illegal_address: y[i] = i. This side does no harm.
// Paired with ../ptx/illegal_address.ptx; shapes and launch are in ../pairs/illegal_address.py.

extern "C" __global__ void illegal_address(unsigned* y, unsigned n)
{
    if (threadIdx.x < n)
        y[threadIdx.x] = threadIdx.x;
}
