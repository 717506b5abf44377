"""Kernels as people have them, and the answers to the questions that `ptxbench new --from` asks about each.

`answers`: what replaces each `...` of the pair file, in its order.
"""

from typing import NamedTuple


class Case(NamedTuple):
    cuda: str
    answers: tuple[str, ...]
    entry: str | None = None


CASES = {
    "template": Case(
        """\
namespace ns {
// y = a x + N
template <typename T, int N>
__global__ static void __launch_bounds__(128) scale(const T* __restrict__ x, T *y, T a, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        y[i] = x[i] * a + N;
}
template __global__ void scale<double, 2>(const double*, double*, double, int);
__global__ void other(float* x) { x[threadIdx.x] += 1; }
}
""",
        ("lambda n: (n,)", "lambda n: (n,)", "0.7", "lambda n: Launch(grid=2, block=128)",
         'lambda x, a, n: {"y": a * x + 4}', "close(1e-6, 1e-6)", "lambda n: 2 * n"),
        "ns::scale<float, 4>",
    ),
    "tiles": Case(
        """\
#define TILE 16
#define AT(row, column, width) ((row) * (width) + (column))
typedef unsigned int uint_t;

static __global__ void __launch_bounds__(TILE * TILE)
transpose_tiles(float *out, const float *in, uint_t rows, uint_t columns)
{
    __shared__ float tile[TILE][TILE + 1];
    const unsigned row = blockIdx.y * TILE + threadIdx.y;
    const unsigned column = blockIdx.x * TILE + threadIdx.x;
    if (row < rows && column < columns)
        tile[threadIdx.y][threadIdx.x] = in[AT(row, column, columns)];
    __syncthreads();
    const unsigned new_row = blockIdx.x * TILE + threadIdx.y;
    const unsigned new_column = blockIdx.y * TILE + threadIdx.x;
    if (new_row < columns && new_column < rows)
        out[AT(new_row, new_column, rows)] = tile[threadIdx.x][threadIdx.y];
}
""",
        ("lambda rows, columns: (columns, rows)", "lambda rows, columns: (rows, columns)",
         "lambda rows, columns: Launch(grid=(ceil_div(columns, 16), ceil_div(rows, 16)), block=(16, 16))",
         'lambda in_, rows, columns: {"out": in_.T}', "EXACT", "lambda rows, columns: 0"),
    ),
    "sums": Case(
        """\
__constant__ float weights[4] = {1, 2, 3, 4};

__device__ __noinline__ float weighted(float v, unsigned i) { return v * weights[i % 4]; }

// The sum of a warp by shuffles, then of the block by atomics in dynamic shared memory.
extern "C" __global__ void sums(const float4 *values, float *total, int n)
{
    extern __shared__ float partial[];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float sum = 0;
    if (i < n) {
        float4 v = values[i];
        sum = weighted(v.x, 0) + weighted(v.y, 1) + weighted(v.z, 2) + weighted(v.w, 3);
    }
    for (int d = 16; d > 0; d /= 2)
        sum += __shfl_down_sync(0xffffffff, sum, d);
    if (threadIdx.x % 32 == 0)
        partial[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (unsigned w = 1; w < blockDim.x / 32; ++w)
            sum += partial[w];
        atomicAdd(total, sum);
    }
}
""",
        ("lambda n: (n, 4)", "lambda n: (1,)", "lambda n: Launch(grid=ceil_div(n, 64), block=64, shared_bytes=8)",
         'lambda values, total, n: {"total": total + (values * [1, 2, 3, 4]).sum()}',
         "relative(1e-5, of=lambda values, total, n: abs(values).sum() * 4)", "lambda n: 8 * n"),
    ),
    "bytes": Case(
        """\
// NVRTC refuses this with debugging information, which gives the parameters.
__global__ void count(const unsigned char* __restrict__ text, unsigned* counts, unsigned n, bool weigh)
{
    __shared__ unsigned own[256];
    own[threadIdx.x] = 0;
    __syncthreads();
    for (unsigned i = threadIdx.x; i < n; i += 256) {
        unsigned peers = __match_any_sync(__activemask(), text[i]);
        asm volatile("{ .reg .pred p; setp.ne.u32 p, %0, 0; }" :: "r"(peers));
        atomicAdd(&own[text[i]], weigh ? 2 : 1);
    }
    __syncthreads();
    counts[threadIdx.x] = own[threadIdx.x];
}
""",
        ("lambda n: (n,)", "lambda n: (256,)", "1", "lambda n: Launch(grid=1, block=256)",
         'lambda text, n, weigh: {"counts": 2 * np.bincount(text, minlength=256)}', "EXACT", "lambda n: 0"),
    ),
    "host": Case(
        """\
#include <cassert>
#include <cstdio>
#include <vector>
#include <cuda_runtime.h>

#define CHECK(x) do { cudaError_t e = (x); if (e) { puts(cudaGetErrorString(e)); exit(1); } } while (0)

using namespace std;
constexpr int THREADS = 128;

// y += a x
__global__ void saxpy(int n, float a, const float* __restrict__ x, float* y)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    assert(blockDim.x == THREADS);
    if (i < n)
        y[i] += a * x[i];
}

template <typename T>
__global__ void fill(T* x, T value, size_t n)
{
    for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) x[i] = value;
}

static void run(const vector<float>& v)
{
    float *x, *y;
    int count = (int)v.size(), blocks = (count + THREADS - 1) / THREADS;
    CHECK(cudaMalloc(&x, count * sizeof(float)));
    CHECK(cudaMalloc(&y, count * sizeof(float)));
    fill<float><<<32, 128>>>(y, 1.0f, (size_t)count);
    saxpy<<<blocks, THREADS>>>(count, 2.0f, x, y);
    CHECK(cudaDeviceSynchronize());
}

int main() { run(vector<float>(1 << 20, 1.0f)); }
""",
        ("2", "lambda n: (n,)", "lambda n: (n,)", 'lambda n, a, x, y: {"y": a * x + y}', "close(1e-6, 1e-6)",
         "lambda n: 2 * n"),
        "saxpy",
    ),
}  # fmt: skip
