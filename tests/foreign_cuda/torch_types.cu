// An extension of PyTorch whose kernels have its views of tensors and its number types.
#include <ATen/AccumulateType.h>
#include <ATen/cuda/Atomic.cuh>
#include <c10/util/BFloat16.h>
#include <c10/util/Float8_e4m3fn.h>
#include <c10/util/Float8_e5m2.h>
#include <c10/util/Half.h>
#include <torch/extension.h>
#include <torch/csrc/utils/pybind.h>

template <typename scalar_t>
__global__ void sum_rows(
    const torch::PackedTensorAccessor32<scalar_t, 2, torch::RestrictPtrTraits> x,
    at::PackedTensorAccessor64<float, 1> sums)
{
    const at::TensorAccessor<scalar_t, 1, torch::RestrictPtrTraits, int> row = x[blockIdx.x];
    at::acc_type<scalar_t, true> twice = 0;
    for (int column = threadIdx.x; column < x.size(1); column += blockDim.x)
        twice += 2 * row[column];
    gpuAtomicAdd(&sums[blockIdx.x], twice);
}

__global__ void numbers(const at::Half* x, at::BFloat16* sum, c10::Half* bits, __half* cuda, int n)
{
    const int i = threadIdx.x;
    if (i >= n)
        return;
    sum[i] = x[i] + 1.5f;
    at::Half square = x[i] * x[i];
    square += x[i] > square ? at::Half(0x3c00, at::Half::from_bits()) : -x[i];
    bits[i] = square;
    cuda[i] = __half(float(x[i]));
}

C10_HOST_DEVICE constexpr auto GREATEST = std::numeric_limits<c10::Float8_e4m3fn>::max();

__global__ void numbers_of_8_bits(const float* x, c10::Float8_e4m3fn* y, at::Float8_e5m2* z, float* limited, int n)
{
    const int i = threadIdx.x;
    if (i >= n)
        return;
    y[i] = x[i];
    z[i] = static_cast<at::Float8_e5m2>(x[i]);
    limited[i] = fmax(-GREATEST, fmin(x[i], GREATEST)) + float(y[i]);
}

__global__ void place_in_a_sequence(at::PhiloxCudaState state, uint64_t* seed_and_offset)
{
    auto [seed, offset] = at::cuda::philox::unpack(state);
    seed_and_offset[0] = seed;
    seed_and_offset[1] = offset;
}

void sum_rows_cuda(torch::Tensor x, torch::Tensor sums)
{
    AT_DISPATCH_FLOATING_TYPES_AND_HALF(x.scalar_type(), "sum_rows", ([&] {
        sum_rows<<<x.size(0), 32>>>(x.packed_accessor32<scalar_t, 2, torch::RestrictPtrTraits>(),
                                    sums.packed_accessor64<float, 1>());
    }));
}
