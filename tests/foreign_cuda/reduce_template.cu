// A block reduction as a template in a namespace, with dynamic shared memory; nothing in this file instantiates it.
#include <iostream>
#include <limits>
#include <type_traits>

namespace reduction {

template <typename T>
struct Max {
    __device__ static T identity() { return std::numeric_limits<T>::lowest(); }
    __device__ T operator()(T a, T b) const { return a > b ? a : b; }
};

template <typename T>
struct Sum {
    __device__ static T identity() { return T(0); }
    __device__ T operator()(T a, T b) const { return a + b; }
};

template <typename T, int BlockSize, template <typename> class Op = Sum>
__global__ void reduce(const T* in, T* out, int n)
{
    static_assert(std::is_arithmetic<T>::value, "reduce needs numbers");
    extern __shared__ unsigned char raw[];
    T* shared = reinterpret_cast<T*>(raw);
    Op<T> op;
    T value = Op<T>::identity();
    for (int i = blockIdx.x * BlockSize + threadIdx.x; i < n; i += BlockSize * gridDim.x)
        value = op(value, in[i]);
    shared[threadIdx.x] = value;
    __syncthreads();
#pragma unroll
    for (int half = BlockSize / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            shared[threadIdx.x] = op(shared[threadIdx.x], shared[threadIdx.x + half]);
        __syncthreads();
    }
    if (threadIdx.x == 0)
        out[blockIdx.x] = shared[0];
}

}  // namespace reduction

template <typename T>
void print(const T& value)
{
    std::cout << value << std::endl;
}
