// Races between the lanes of a warp. Each kernel: (out, data, flags), one warp.

extern "C" __global__ void exchange(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[32];
    tile[threadIdx.x] = data[threadIdx.x];
    ORDERED(__syncwarp();)
    out[threadIdx.x] = tile[threadIdx.x ^ 1];
}

extern "C" __global__ void warp_tree(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[64];
    const u32 lane = threadIdx.x;
    tile[lane] = data[lane];
    tile[lane + 32] = 0;
    __syncwarp();
    for (u32 stride = 16; stride > 0; stride /= 2) {
        const u32 sum = tile[lane] + tile[lane + stride];
        ORDERED(__syncwarp();)
        tile[lane] = sum;
        __syncwarp();
    }
    out[lane] = tile[lane];
}

// Each half synchronises on its own, and then reads what the other half wrote.
extern "C" __global__ void half_masks(u32* out, u32* data, u32* flags)
{
    __shared__ u32 tile[32];
    const u32 lane = threadIdx.x;
    tile[lane] = data[lane];
    RACY(if (lane < 16) __syncwarp(0x0000ffffu); else __syncwarp(0xffff0000u);)
    ORDERED(__syncwarp();)
    out[lane] = tile[31 - lane];
}

// One lane writes what the others read, through global memory.
extern "C" __global__ void one_lane_writes(u32* out, u32* data, u32* flags)
{
    const u32 lane = threadIdx.x;
    if (lane == 5)
        data[0] = 42;
    ORDERED(__syncwarp();)
    out[lane] = data[0];
}

// Two lanes store different values to one word in one instruction.
extern "C" __global__ void one_word(u32* out, u32* data, u32* flags)
{
    __shared__ u32 winner;
    const u32 lane = threadIdx.x;
    RACY(winner = lane;)
    ORDERED(if (lane == 31) winner = lane;)
    __syncwarp();
    out[lane] = winner;
}
