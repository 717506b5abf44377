// The language itself: templates, classes, control flow, memory spaces, parameters.

#define OUT extern "C" __global__ void

// ---- templates

template <typename T, int N>
struct Power {
    static __device__ T of(T x) { return x * Power<T, N - 1>::of(x); }
};
template <typename T>
struct Power<T, 0> {
    static __device__ T of(T) { return T(1); }
};

template <typename... Ts>
__device__ float sum_of(Ts... terms) { return (0.0f + ... + static_cast<float>(terms)); }

OUT templates(const int* x, int* cubes, float* sums)
{
    const int i = threadIdx.x;
    cubes[i] = Power<int, 3>::of(x[i]);
    sums[i] = sum_of(x[i], 2u, 0.5f, static_cast<short>(i));
}

OUT lambdas(const float* x, float* y, float a)
{
    const int i = threadIdx.x;
    auto apply = [=](auto f, float v) { return f(f(v)); };
    constexpr int shift = sizeof(float) == 4 ? 1 : 2;
    if constexpr (shift == 1)
        y[i] = apply([a](float v) { return v * a + shift; }, x[i]);
    else
        y[i] = 0.0f;
}

// ---- classes

class Complex {
    float re, im;

public:
    __device__ Complex(float re, float im = 0.0f) : re(re), im(im) {}
    __device__ Complex operator*(const Complex& o) const { return {re * o.re - im * o.im, re * o.im + im * o.re}; }
    __device__ Complex& operator+=(const Complex& o) { re += o.re; im += o.im; return *this; }
    __device__ float norm() const { return re * re + im * im; }
};

OUT classes(const float* x, const float* y, int* steps)     // the Mandelbrot set
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const Complex c(x[i], y[i]);
    Complex z(0.0f);
    int n = 0;
    while (n < 50 && z.norm() <= 4.0f) {
        z = z * z;
        z += c;
        ++n;
    }
    steps[i] = n;
}

struct Shape { float w; __device__ float scaled(float s) const { return w * s; } };
struct Box : Shape { float h; __device__ float area() const { return scaled(h); } };

OUT inheritance(const float* w, const float* h, float* areas)
{
    Box box;
    box.w = w[threadIdx.x];
    box.h = h[threadIdx.x];
    areas[threadIdx.x] = box.area();
}

// ---- functions

__device__ __noinline__ float2 polar(float2 p, int turns)
{
    for (int i = 0; i < turns; ++i)
        p = make_float2(-p.y, p.x);
    return p;
}
__device__ __noinline__ void swap_if(bool wanted, int* a, int* b)
{
    if (wanted) {
        const int kept = *a;
        *a = *b;
        *b = kept;
    }
}

OUT functions(const float2* p, float2* q, int* pairs)
{
    const int i = threadIdx.x;
    q[i] = polar(polar(p[i], i & 3), 1);
    int a = i, b = 100 - i;
    swap_if(i % 3 == 0, &a, &b);
    pairs[2 * i] = a;
    pairs[2 * i + 1] = b;
}

// ---- control flow

OUT switches(const int* x, int* y)
{
    const int i = threadIdx.x, v = x[i];
    int r;
    switch (i & 15) {
    case 0: r = v + 1; break;
    case 1: r = v * 3; break;
    case 2: r = v ^ 0x55; break;
    case 3: r = v - 7;          // falls through
    case 4: r = v << 2; break;
    case 5: r = ~v; break;
    case 6: r = v / 5; break;
    case 7: r = v % 5; break;
    case 8: r = v >> 3; break;
    case 9: r = -v; break;
    case 11: r = v | 1; break;
    default: r = 1000 + (i & 15);
    }
    y[i] = r;
}

OUT gotos(const int* grid, int* found, int wanted)          // 8 x 8 a thread: where `wanted` stands first
{
    const int* mine = grid + 64 * threadIdx.x;
    int row, column;
    for (row = 0; row < 8; ++row) {
        for (column = 0; column < 8; ++column) {
            if (mine[8 * row + column] == wanted)
                goto out;
            if (mine[8 * row + column] < 0)
                break;
        }
    }
    column = -1;
out:
    found[threadIdx.x] = 100 * row + column;
}

OUT early_return(const int* x, int* y, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    int v = x[i], steps = 0;                                 // Collatz
    if (v <= 0) {
        y[i] = -1;
        return;
    }
    do {
        if (v == 1)
            break;
        if (v & 1) {
            v = 3 * v + 1;
            ++steps;
            continue;
        }
        v /= 2;
        ++steps;
    } while (steps < 200);
    y[i] = steps;
}

OUT short_circuit(const int* x, const int* y, unsigned char* flags)
{
    const int i = threadIdx.x;
    const bool both = x[i] > 0 && 12 / x[i] > y[i], either = x[i] < 0 || !(y[i] % 2);
    flags[i] = (both ? 1 : 0) | (either << 1) | ((both != either) * 4);
}

// ---- memory

__constant__ float weights[8] = {0.5f, -1.0f, 2.0f, 0.25f, 3.0f, -0.125f, 1.0f, 4.0f};
__constant__ struct { int base; short steps[4]; } offsets = {40, {1, 2, 3, -4}};

OUT constants(const float* x, float* y, int* z)
{
    const int i = threadIdx.x;
    float sum = 0.0f;
#pragma unroll 2
    for (int k = 0; k < 8; ++k)
        sum += weights[k] * x[8 * i + k];
    y[i] = sum;
    z[i] = offsets.base + offsets.steps[i & 3];
}

OUT dynamic_shared(const float* x, float* y, int n)          // reversed by block; two arrays in one piece
{
    extern __shared__ char raw[];
    float* values = reinterpret_cast<float*>(raw);
    int* order = reinterpret_cast<int*>(raw + n * sizeof(float));
    const int t = threadIdx.x, i = blockIdx.x * n + t;
    values[t] = x[i];
    order[t] = n - 1 - t;
    __syncthreads();
    y[i] = values[order[t]];
}

OUT static_shared(const int* x, int* y)                     // an 8 x 32 tile, transposed, padded
{
    __shared__ int tile[8][33];
    tile[threadIdx.y][threadIdx.x] = x[32 * threadIdx.y + threadIdx.x];
    __syncthreads();
    const int t = 32 * threadIdx.y + threadIdx.x;
    y[t] = tile[t % 8][t / 8];
}

OUT local_arrays(const int* x, int* y)                      // 16 numbers a thread, sorted by insertion
{
    int a[16];
    for (int k = 0; k < 16; ++k)
        a[k] = x[16 * threadIdx.x + k];
#pragma unroll 1
    for (int k = 1; k < 16; ++k) {
        const int v = a[k];
        int at = k;
        while (at > 0 && a[at - 1] > v) {
            a[at] = a[at - 1];
            --at;
        }
        a[at] = v;
    }
    for (int k = 0; k < 16; ++k)
        y[16 * threadIdx.x + k] = a[k];
}

__device__ unsigned arrived;
__device__ int partial[8];

OUT last_block(const int* x, int* total)                    // the last CTA to arrive adds up
{
    __shared__ bool last;
    int sum = 0;
    for (int i = threadIdx.x; i < 64; i += blockDim.x)
        sum += x[64 * blockIdx.x + i];
    for (int offset = 16; offset; offset /= 2)
        sum += __shfl_down_sync(~0u, sum, offset);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = sum;
        __threadfence();
        last = atomicInc(&arrived, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0) {
        int all = 0;
        for (unsigned b = 0; b < gridDim.x; ++b)
            all += *static_cast<volatile int*>(&partial[b]);
        *total = all;
    }
}

OUT volatile_flag(const int* x, int* y)                     // warp 0 hands a value to warp 1, which spins
{
    __shared__ volatile int value, ready;
    if (threadIdx.x == 0)
        ready = 0;
    __syncthreads();
    if (threadIdx.x == 0) {
        value = x[0] * 3;
        __threadfence_block();
        ready = 1;
    } else if (threadIdx.x >= 32) {
        while (!ready) {}
        y[threadIdx.x - 32] = value + threadIdx.x;
    }
}

// ---- parameters, unions, vectors

struct Options {
    char tag;
    double scale;
    int shift[3];
    struct { unsigned short low, high; } range;
};

OUT struct_by_value(const float* x, float* y, Options options, char last)
{
    const int i = threadIdx.x;
    const double v = x[i] * options.scale + options.shift[i % 3];
    y[i] = fmin(fmax(v, double(options.range.low)), double(options.range.high)) + (options.tag - last);
}

union Bits {
    float f;
    unsigned u;
    unsigned char b[4];
    short s[2];
};

OUT unions(const float* x, unsigned* out)
{
    Bits bits;
    bits.f = x[threadIdx.x];
    out[4 * threadIdx.x] = bits.u;
    out[4 * threadIdx.x + 1] = bits.b[3] << 8 | bits.b[0];
    out[4 * threadIdx.x + 2] = bits.s[1];
    bits.b[3] ^= 0x80;
    out[4 * threadIdx.x + 3] = __float_as_uint(bits.f);
}

OUT bytes_and_shorts(const uchar4* x, const short* s, uchar4* y, short* t, signed char* c)
{
    const int i = threadIdx.x;
    const uchar4 v = x[i];
    y[i] = make_uchar4(v.w, v.x + v.y, v.y * v.z, v.z >> 2);
    t[i] = s[i] * s[i];
    c[i] = static_cast<signed char>(s[i]) / 2;
}

OUT grid_3d(int* seen)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y,
              z = blockIdx.z * blockDim.z + threadIdx.z;
    const int width = gridDim.x * blockDim.x, height = gridDim.y * blockDim.y;
    seen[(z * height + y) * width + x] = 10000 * z + 100 * y + x;
}

OUT grid_stride(const double2* x, double* y, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        y[i] = x[i].x - x[i].y;
}
