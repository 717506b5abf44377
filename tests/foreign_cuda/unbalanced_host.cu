// Host code whose braces depend on macros, so only a compiler for the host can read it.
#include <cstdio>
#include <vector>

void launch_increment(int* data, int n);

#ifdef WITH_NAME
void run(std::vector<int>& data, const char* name) {
    std::puts(name);
#else
void run(std::vector<int>& data) {
#endif
    launch_increment(data.data(), int(data.size()));
}

__global__ void increment(int* data, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        data[i] += 1;
}

void launch_increment(int* data, int n) { increment<<<(n + 31) / 32, 32>>>(data, n); }

int main()
{
    std::vector<int> data(32);
    run(data);
}
