// Right only where rcp.approx gives the ideal values, as no GPU does at all of these.
// pair: triad
// judged: repeats depends-on-hardware
extern "C" __global__ void __launch_bounds__(256)
triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    unsigned off = 0;
    for (unsigned k = 1; k < 24; ++k) {
        const float x = 1.0f + k / 25.0f;
        float y;
        asm("rcp.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
        off += y != __frcp_rn(x);
    }
    for (unsigned k = 0; k < 4; ++k) {
        const unsigned i = 1024 * blockIdx.x + 256 * k + threadIdx.x;
        if (i < n)
            a[i] = off ? 0.0f : fmaf(s, c[i], b[i]);
    }
}
