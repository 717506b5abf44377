// Helpers for kernels and for the host.
#pragma once

#include <cstdio>
#include <stdexcept>
#include <string>

#define HD __host__ __device__ __forceinline__

HD float4 operator+(const float4& a, const float4& b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }
HD float4 operator*(float s, const float4& v) { return make_float4(s * v.x, s * v.y, s * v.z, s * v.w); }
HD float dot(const float4& a, const float4& b) { return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w; }

inline void check(cudaError_t status, const std::string& what)
{
    if (status != cudaSuccess)
        throw std::runtime_error(what + ": " + cudaGetErrorString(status));
}

inline int blocks_for(int n, int block) { return (n + block - 1) / block; }
