// Softmax of each row: one block a row, reductions by templates.
#include <cfloat>
#include <climits>
#include <cmath>
#include <type_traits>
#include <memory>
#include <torch_stub.h>

#define WARP_SIZE 32
#define FULL_MASK 0xffffffff

struct MaxOp { __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); } };
struct AddOp { __device__ __forceinline__ float operator()(float a, float b) const { return a + b; } };

template <typename Op>
__device__ __forceinline__ float warp_reduce(float value, Op op)
{
#pragma unroll
    for (int offset = WARP_SIZE / 2; offset > 0; offset >>= 1)
        value = op(value, __shfl_xor_sync(FULL_MASK, value, offset, WARP_SIZE));
    return value;
}

template <typename Op>
__device__ float block_reduce(float value, Op op, float start)
{
    __shared__ float parts[WARP_SIZE];
    const int lane = threadIdx.x % WARP_SIZE, warp = threadIdx.x / WARP_SIZE;
    value = warp_reduce(value, op);
    __syncthreads();
    if (lane == 0)
        parts[warp] = value;
    __syncthreads();
    return warp_reduce(lane < blockDim.x / WARP_SIZE ? parts[lane] : start, op);
}

template <typename scalar_t, bool kLog = false>
__global__ void softmax_kernel(const scalar_t* __restrict__ input, scalar_t* __restrict__ output, int columns)
{
    static_assert(std::is_floating_point_v<scalar_t>);
    const scalar_t* row = input + std::size_t(blockIdx.x) * columns;
    float largest = -FLT_MAX, sum = 0.0f;
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        largest = fmaxf(largest, row[i]);
    largest = block_reduce(largest, MaxOp(), -INFINITY);
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        sum += expf(row[i] - largest);
    sum = block_reduce(sum, AddOp{}, 0.0f);
    for (int i = threadIdx.x; i < columns; i += blockDim.x) {
        if constexpr (kLog)
            output[std::size_t(blockIdx.x) * columns + i] = row[i] - largest - logf(sum);
        else
            output[std::size_t(blockIdx.x) * columns + i] = expf(row[i] - largest) / sum;
    }
}

std::shared_ptr<stub::Tensor> softmax(const stub::Tensor& input)
{
    auto output = std::make_shared<stub::Tensor>(input);
    softmax_kernel<float><<<input.rows, 128>>>(input.data, output->data, input.columns);
    return output;
}
