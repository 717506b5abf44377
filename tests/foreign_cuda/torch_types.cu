// An extension of PyTorch whose kernels have its views of tensors and its number types.
#include <ATen/AccumulateType.h>
#include <ATen/cuda/Atomic.cuh>
#include <c10/util/BFloat16.h>
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

void sum_rows_cuda(torch::Tensor x, torch::Tensor sums)
{
    AT_DISPATCH_FLOATING_TYPES_AND_HALF(x.scalar_type(), "sum_rows", ([&] {
        sum_rows<<<x.size(0), 32>>>(x.packed_accessor32<scalar_t, 2, torch::RestrictPtrTraits>(),
                                    sums.packed_accessor64<float, 1>());
    }));
}
