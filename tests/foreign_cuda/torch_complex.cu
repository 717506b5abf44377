// A kernel of an extension of PyTorch with complex numbers.
#include <ATen/cuda/Atomic.cuh>
#include <c10/util/complex.h>
#include <torch/extension.h>

using complex_t = c10::complex<float>;

__global__ void turn(const complex_t* a, const complex_t* b, complex_t* turned, complex_t* sum)
{
    const int i = threadIdx.x;
    complex_t z = std::conj(a[i]) * b[i] - 3.0f;
    z += a[i] / complex_t(0, 2);
    z *= 2.0f;
    turned[i] = z == b[i] ? complex_t(z.imag_, -z.real()) : -z / complex_t(4, 0);
    gpuAtomicAdd(sum, b[i]);
}

torch::Tensor turn_cuda(torch::Tensor a, torch::Tensor b, torch::Tensor sum)
{
    torch::Tensor turned = torch::empty_like(a);
    turn<<<1, a.size(0)>>>(
        reinterpret_cast<complex_t*>(a.data_ptr()), reinterpret_cast<complex_t*>(b.data_ptr()),
        reinterpret_cast<complex_t*>(turned.data_ptr()), reinterpret_cast<complex_t*>(sum.data_ptr()));
    return turned;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) { m.def("turn", &turn_cuda); }
