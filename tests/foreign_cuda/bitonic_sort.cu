// A bitonic sort of the numbers of one block, for any type; explicit instantiations at the end.
#include <cstddef>
#include <cstdint>
#include <limits.h>
#include <stdexcept>
#include <vector>

namespace sorting {

template <typename Key>
__device__ void order(Key& a, Key& b, bool ascending)
{
    if ((a > b) == ascending) {
        Key c = a;
        a = b;
        b = c;
    }
}

template <typename Key, unsigned Size>
__global__ void __launch_bounds__(Size / 2) bitonic(Key* keys, bool ascending)
{
    __shared__ Key shared[Size];
    const unsigned t = threadIdx.x;
    shared[t] = keys[t];
    shared[t + Size / 2] = keys[t + Size / 2];
    for (unsigned length = 2; length <= Size; length *= 2) {
        const bool up = ((t & (length / 2)) == 0) == ascending || length == Size;
        for (unsigned stride = length / 2; stride > 0; stride /= 2) {
            __syncthreads();
            const unsigned at = 2 * t - (t & (stride - 1));
            order(shared[at], shared[at + stride], length == Size ? ascending : up);
        }
    }
    __syncthreads();
    keys[t] = shared[t];
    keys[t + Size / 2] = shared[t + Size / 2];
}

template <typename Key>
void sort(std::vector<Key>& keys)
{
    if (keys.size() > UINT_MAX)
        throw std::length_error("too many");
    bitonic<Key, 128><<<1, 64>>>(keys.data(), true);
}

template __global__ void bitonic<std::int64_t, 128>(std::int64_t*, bool);
template __global__ void bitonic<std::uint8_t, 128>(std::uint8_t*, bool);
template void sort<int>(std::vector<int>&);

}  // namespace sorting
