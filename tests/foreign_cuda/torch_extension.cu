// An extension of PyTorch: a kernel that its dispatcher instantiates, and the bindings.
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/extension.h>

#include <tuple>
#include <vector>

#define CHECK_INPUT(x)                                     \
    TORCH_CHECK(x.is_cuda(), #x " must be a CUDA tensor"); \
    TORCH_CHECK(x.is_contiguous(), #x " must be contiguous")

namespace {

constexpr int THREADS = 128;

C10_HOST_DEVICE inline float scaled(float a, float by) { return a * by; }

template <typename scalar_t>
__global__ void C10_LAUNCH_BOUNDS_1(THREADS)
leaky_relu(const scalar_t* __restrict__ x, scalar_t* __restrict__ y, float slope, int64_t n)
{
    for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < n; i += blockDim.x * gridDim.x)
        y[i] = x[i] > scalar_t(0) ? x[i] : scalar_t(scaled(x[i], slope));
}

}  // namespace

torch::Tensor leaky_relu_cuda(torch::Tensor x, c10::optional<double> slope)
{
    CHECK_INPUT(x);
    const at::cuda::OptionalCUDAGuard guard(device_of(x));
    auto y = torch::empty_like(x);
    if constexpr (THREADS > 64)
        TORCH_CHECK(x.numel() > 0);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "leaky_relu", ([&] {
        leaky_relu<scalar_t><<<64, THREADS, 0, at::cuda::getCurrentCUDAStream()>>>(
            x.data_ptr<scalar_t>(), y.data_ptr<scalar_t>(), float(slope.value_or(0.01)), x.numel());
    }));
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    return y;
}

std::vector<at::Tensor> both(const at::Tensor& a, at::IntArrayRef sizes) { return {a, a.reshape(sizes)}; }

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m)
{
    m.def("leaky_relu", &leaky_relu_cuda, "leaky ReLU (CUDA)", py::arg("x"), py::arg("slope") = py::none());
}

TORCH_LIBRARY(extension, m) { m.def("both", &both); }
