// Particles: a struct of parameters by value, an array of structs, and a host class that owns the memory.
#include <cstdio>
#include <random>
#include <vector>
#include <cuda_runtime.h>

struct Particle {
    float3 position;
    float3 velocity;
};

struct Params {
    float dt;
    float3 gravity;
    int count;
};

__host__ __device__ inline float3 operator+(float3 a, float3 b) { return make_float3(a.x + b.x, a.y + b.y, a.z + b.z); }
__host__ __device__ inline float3 operator*(float s, float3 v) { return make_float3(s * v.x, s * v.y, s * v.z); }

__global__ void integrate(Particle* particles, Params params)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= params.count)
        return;
    Particle p = particles[i];
    p.velocity = p.velocity + params.dt * params.gravity;
    p.position = p.position + params.dt * p.velocity;
    particles[i] = p;
}

class Simulation {
public:
    explicit Simulation(int count) : count_(count), host_(count)
    {
        std::mt19937 random(1);
        std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
        for (auto& each : host_)
            each.position = make_float3(uniform(random), uniform(random), uniform(random));
        cudaMalloc(&device_, count * sizeof(Particle));
        cudaMemcpy(device_, host_.data(), count * sizeof(Particle), cudaMemcpyHostToDevice);
    }
    ~Simulation() { cudaFree(device_); }
    void step(float dt);

private:
    int count_;
    std::vector<Particle> host_;
    Particle* device_ = nullptr;
};

void Simulation::step(float dt)
{
    Params params{dt, make_float3(0.0f, -9.81f, 0.0f), count_};
    integrate<<<(count_ + 127) / 128, 128>>>(device_, params);
}

int main()
{
    Simulation simulation(1000);
    for (int i = 0; i < 10; ++i)
        simulation.step(0.01f);
    std::printf("%s\n", cudaGetErrorString(cudaDeviceSynchronize()));
}
