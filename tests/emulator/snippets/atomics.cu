// Atomics of every kind and width, global and shared.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define OUT extern "C" __global__ void

OUT integer_atomics(const int* x, int* cells, unsigned* ucells)
{
    const int v = x[blockIdx.x * blockDim.x + threadIdx.x];
    atomicAdd(&cells[0], v);
    atomicSub(&cells[1], v);
    atomicMin(&cells[2], v);
    atomicMax(&cells[3], v);
    const unsigned u = v;
    atomicAnd(&ucells[0], u | 0xff00ff00);
    atomicOr(&ucells[1], u & 0x0ff00ff0);
    atomicXor(&ucells[2], u);
    atomicMin(&ucells[3], u);
    atomicMax(&ucells[4], u);
    atomicInc(&ucells[5], 50);
    atomicDec(&ucells[6], 50);
    atomicAdd(&ucells[7], 1u);
}

OUT returned_values(int* counter, int* cells, int* tickets, int* swapped)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    tickets[atomicAdd(counter, 1)] = 1;                     // every ticket once
    const int old = atomicExch(&cells[0], i + 1);           // each value but the last is seen once
    if (old > 0)
        swapped[old - 1] = 1;
    if (atomicCAS(&cells[1], 0, 7) == 0)
        atomicAdd(&cells[2], 1);
}

OUT wide_atomics(const long long* x, long long* cells, unsigned long long* ucells)
{
    const long long v = x[threadIdx.x];
    atomicMin(&cells[0], v);
    atomicMax(&cells[1], v);
    const unsigned long long u = v;
    atomicAdd(&ucells[0], u);
    atomicMin(&ucells[1], u);
    atomicMax(&ucells[2], u);
    atomicAnd(&ucells[3], u | 0xffff0000ffff0000ULL);
    atomicOr(&ucells[4], u);
    atomicXor(&ucells[5], u);
    unsigned long long seen = ucells[6], assumed;           // a product, by compare and swap
    do {
        assumed = seen;
        seen = atomicCAS(&ucells[6], assumed, assumed * (u | 1));
    } while (seen != assumed);
    atomicExch(&ucells[7], 5ULL);
}

OUT float_atomics(const float* x, float* f, double* d, int* bits)
{
    const float v = x[threadIdx.x];
    atomicAdd(&f[0], v);
    atomicAdd(d, static_cast<double>(v));
    atomicExch(&f[1], 2.5f);
    if (v >= 0)
        atomicMax(bits, __float_as_int(v));                 // floats of one sign are ordered as integers
    float* cell = &f[2];
    int seen = __float_as_int(*cell), assumed;
    do {
        assumed = seen;
        if (__int_as_float(assumed) <= v)
            break;
        seen = atomicCAS(reinterpret_cast<int*>(cell), assumed, __float_as_int(v));
    } while (seen != assumed);
}

OUT packed_atomics(const float* x, __half2* h, __half* one, unsigned short* bf)
{
    const float v = x[threadIdx.x];
    atomicAdd(h, __floats2half2_rn(v, 2 * v));
    atomicAdd(one, __float2half(v));
    atomicAdd(reinterpret_cast<__nv_bfloat162*>(bf), __floats2bfloat162_rn(v, -v));
    atomicAdd(reinterpret_cast<__nv_bfloat16*>(bf) + 2, __float2bfloat16(v));
}

OUT shared_histogram(const unsigned char* x, int* bins, int n)
{
    __shared__ int mine[16];
    if (threadIdx.x < 16)
        mine[threadIdx.x] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&mine[x[i] >> 4], 1);
    __syncthreads();
    if (threadIdx.x < 16)
        atomicAdd(&bins[threadIdx.x], mine[threadIdx.x]);
}

OUT shared_atomics(const int* x, int* out)
{
    __shared__ int cells[4];
    __shared__ unsigned long long wide;
    __shared__ float f;
    if (threadIdx.x == 0) {
        cells[0] = 1000;
        cells[1] = cells[2] = cells[3] = 0;
        wide = 0;
        f = 0.0f;
    }
    __syncthreads();
    const int v = x[threadIdx.x];
    atomicMin(&cells[0], v);
    atomicOr(&cells[1], v);
    atomicExch(&cells[2], 9);
    atomicCAS(&cells[3], 0, 4);
    atomicAdd(&wide, static_cast<unsigned long long>(v) << 30);
    atomicAdd(&f, static_cast<float>(v));
    __syncthreads();
    if (threadIdx.x < 4)
        out[threadIdx.x] = cells[threadIdx.x];
    if (threadIdx.x == 4)
        out[4] = wide >> 30;
    if (threadIdx.x == 5)
        out[5] = f;
}

OUT scopes(int* cells, int* generic)
{
    __shared__ int mine;
    if (threadIdx.x == 0)
        mine = 0;
    __syncthreads();
    atomicAdd_block(&cells[0], 1);
    atomicAdd_system(&cells[1], 2);
    atomicMax_block(&cells[2], int(threadIdx.x));
    int* where = threadIdx.x & 1 ? &mine : &cells[3];       // a generic address, of either space
    atomicAdd(where, 1);
    __syncthreads();
    if (threadIdx.x == 0)
        *generic = mine;
}

OUT spin_lock(int* lock, int* value)                        // one thread a CTA takes a lock
{
    if (threadIdx.x == 0) {
        while (atomicCAS(lock, 0, 1) != 0) {}
        __threadfence();
        const int v = *static_cast<volatile int*>(value);
        *static_cast<volatile int*>(value) = v * 3 + 1;
        __threadfence();
        atomicExch(lock, 0);
    }
}
