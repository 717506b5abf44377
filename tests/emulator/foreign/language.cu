// What C++ does at run time: structures, tables of constants, local and shared arrays, printf, lambdas.

struct Body {
    double position[3];
    float mass;
    short tag;
};

extern "C" __global__ void structures_by_value(Body a, Body b, double* y, int scale)
{
    double sum = 0.0;
    for (int i = 0; i < 3; i++)
        sum += (a.position[i] - b.position[i]) * scale;
    y[threadIdx.x] = sum * a.mass + b.tag + threadIdx.x;
}

__constant__ int weights[8] = {1, -2, 3, -4, 5, -6, 7, -8};
__device__ int calls = 0;

extern "C" __global__ void constants_and_switches(const int* x, int* y)
{
    int value = x[threadIdx.x], result;
    switch (value & 7) {
    case 0: result = value * 3; break;
    case 1: result = value - 100; break;
    case 2: result = ~value; break;
    case 3: result = value << 3; break;
    case 4: result = value / 7; break;
    case 5: result = value % 7; break;
    case 6: result = __popc(value); break;
    default: result = __clz(value);
    }
    y[threadIdx.x] = result + weights[(value >> 3) & 7];
    atomicAdd(&calls, 1);
}

extern "C" __global__ void three_dimensions(int* y)
{
    unsigned x = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned row = blockIdx.y * blockDim.y + threadIdx.y;
    unsigned plane = blockIdx.z * blockDim.z + threadIdx.z;
    unsigned width = gridDim.x * blockDim.x, height = gridDim.y * blockDim.y;
    y[(plane * height + row) * width + x] = 10000 * plane + 100 * row + x;
}

extern "C" __global__ void shared_of_the_launch(const float* x, float* y, int n)
{
    extern __shared__ float values[];
    double* doubles = reinterpret_cast<double*>(values + n);
    values[threadIdx.x] = x[threadIdx.x];
    doubles[threadIdx.x] = 2.0 * x[threadIdx.x];
    __syncthreads();
    int other = n - 1 - threadIdx.x;
    y[threadIdx.x] = values[other] + float(doubles[(threadIdx.x + 1) % n]);
}

extern "C" __global__ void local_arrays(const int* x, int* y)
{
    int stack[32], depth = 0;
#pragma unroll 1
    for (int i = 0; i < 32; i++) {
        int value = x[32 * threadIdx.x + i];
        while (depth > 0 && stack[depth - 1] > value)
            depth--;
        stack[depth++] = value;
    }
    int sum = 0;
    for (int i = 0; i < depth; i++)
        sum = 31 * sum + stack[i];
    y[threadIdx.x] = sum;
}

extern "C" __global__ void printing(const float* x)
{
    if (threadIdx.x % 2 == 0)
        printf("thread %u of %s: %.3f, %#x, %5d, %c, %lld%%\n", threadIdx.x, "the warp", x[threadIdx.x],
               threadIdx.x * 255, -int(threadIdx.x), 'a' + threadIdx.x, 1ll << (33 + threadIdx.x));
}

template <typename Function> __device__ int twice(Function function, int value) { return function(function(value)); }

extern "C" __global__ void lambdas(const int* x, int* y)
{
    int scale = x[0];
    auto step = [scale](int value) { return value * scale + 1; };
    y[threadIdx.x] = twice(step, x[threadIdx.x]) + twice([=](int value) { return step(value) ^ 5; }, 2);
}
