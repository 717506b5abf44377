// Pi by counting points in a circle, with a random generator of its own, and C++20 on request.
#include <bit>
#include <cstdint>
#include <cstdio>
#include <random>
#include <thread>
#include <mutex>

struct XorShift {
    std::uint32_t state;
    __host__ __device__ explicit XorShift(std::uint32_t seed) : state(seed ? seed : 1) {}
    __host__ __device__ std::uint32_t next()
    {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        return state;
    }
    __host__ __device__ float uniform() { return (next() >> 8) * (1.0f / (1 << 24)); }
};

__global__ void count_inside(std::uint32_t* inside, int points)
{
    const std::uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    XorShift random(std::rotl(i + 1, 7) * 2654435769u);
    std::uint32_t count = 0;
    for (int k = 0; k < points; ++k) {
        const float x = random.uniform(), y = random.uniform();
        count += __fadd_rn(__fmul_rn(x, x), __fmul_rn(y, y)) <= 1.0f;
    }
    atomicAdd(inside, count);
}

std::mutex guard;

int main()
{
    std::random_device seed;
    std::thread worker([&] {
        std::lock_guard<std::mutex> lock(guard);
        count_inside<<<1, 32>>>(nullptr, static_cast<int>(seed() % 100));
    });
    worker.join();
    std::printf("%u\n", XorShift(1).next());
}
