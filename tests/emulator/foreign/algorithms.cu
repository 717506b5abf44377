// Algorithms as programs of CUDA C write them: sorts, scans, stencils, hashes, random numbers, simulations.

// ---- dense arrays

extern "C" __global__ void transpose(const float* x, float* y, int rows, int columns)
{
    __shared__ float tile[16][17];
    int row = 16 * blockIdx.y + threadIdx.y, column = 16 * blockIdx.x + threadIdx.x;
    if (row < rows && column < columns)
        tile[threadIdx.y][threadIdx.x] = x[row * columns + column];
    __syncthreads();
    row = 16 * blockIdx.x + threadIdx.y;
    column = 16 * blockIdx.y + threadIdx.x;
    if (row < columns && column < rows)
        y[row * rows + column] = tile[threadIdx.x][threadIdx.y];
}

extern "C" __global__ void matrix_product(const float* a, const float* b, float* c, int n)
{
    __shared__ float a_tile[16][16], b_tile[16][16];
    int row = 16 * blockIdx.y + threadIdx.y, column = 16 * blockIdx.x + threadIdx.x;
    float sum = 0.0f;
    for (int k = 0; k < n; k += 16) {
        a_tile[threadIdx.y][threadIdx.x] = k + threadIdx.x < n && row < n ? a[row * n + k + threadIdx.x] : 0.0f;
        b_tile[threadIdx.y][threadIdx.x] = k + threadIdx.y < n && column < n ? b[(k + threadIdx.y) * n + column] : 0.0f;
        __syncthreads();
        for (int i = 0; i < 16; i++)
            sum += a_tile[threadIdx.y][i] * b_tile[i][threadIdx.x];
        __syncthreads();
    }
    if (row < n && column < n)
        c[row * n + column] = sum;
}

__device__ float sum_of_warp(float value)
{
    for (int offset = 16; offset; offset /= 2)
        value += __shfl_xor_sync(0xffffffff, value, offset);
    return value;
}

extern "C" __global__ void softmax(const float* x, float* y, int n)
{
    // A warp a row.
    const float* row = x + n * (blockIdx.x * blockDim.y + threadIdx.y);
    float most = -1e30f, sum = 0.0f;
    for (int i = threadIdx.x; i < n; i += 32)
        most = fmaxf(most, row[i]);
    for (int offset = 16; offset; offset /= 2)
        most = fmaxf(most, __shfl_down_sync(0xffffffff, most, offset));
    most = __shfl_sync(0xffffffff, most, 0);
    for (int i = threadIdx.x; i < n; i += 32)
        sum += __expf(row[i] - most);
    sum = sum_of_warp(sum);
    for (int i = threadIdx.x; i < n; i += 32)
        y[row - x + i] = __fdividef(__expf(row[i] - most), sum);
}

extern "C" __global__ void layer_norm(const float* x, const float* weight, const float* bias, float* y, int n)
{
    __shared__ float sums[2][4];
    const float* row = x + n * blockIdx.x;
    float sum = 0.0f, squares = 0.0f;
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        sum += row[i];
    sum = sum_of_warp(sum);
    if (threadIdx.x % 32 == 0)
        sums[0][threadIdx.x / 32] = sum;
    __syncthreads();
    float mean = (sums[0][0] + sums[0][1] + sums[0][2] + sums[0][3]) / n;
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        squares += (row[i] - mean) * (row[i] - mean);
    squares = sum_of_warp(squares);
    if (threadIdx.x % 32 == 0)
        sums[1][threadIdx.x / 32] = squares;
    __syncthreads();
    float scale = rsqrtf((sums[1][0] + sums[1][1] + sums[1][2] + sums[1][3]) / n + 1e-5f);
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        y[n * blockIdx.x + i] = (row[i] - mean) * scale * weight[i] + bias[i];
}

extern "C" __global__ void stencil(const float* x, float* y, int nx, int ny, int nz)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    int k = blockIdx.z * blockDim.z + threadIdx.z;
    if (i >= nx || j >= ny || k >= nz)
        return;
    int at = (k * ny + j) * nx + i;
    float sum = -6.0f * x[at];
    sum += (i > 0 ? x[at - 1] : 0.0f) + (i + 1 < nx ? x[at + 1] : 0.0f);
    sum += (j > 0 ? x[at - nx] : 0.0f) + (j + 1 < ny ? x[at + nx] : 0.0f);
    sum += (k > 0 ? x[at - nx * ny] : 0.0f) + (k + 1 < nz ? x[at + nx * ny] : 0.0f);
    y[at] = sum;
}

// ---- sorts and counts

extern "C" __global__ void bitonic_sort(int* x)
{
    __shared__ int values[256];
    int t = threadIdx.x;
    values[t] = x[256 * blockIdx.x + t];
    for (int size = 2; size <= 256; size *= 2)
        for (int step = size / 2; step > 0; step /= 2) {
            __syncthreads();
            int other = t ^ step;
            if (other > t) {
                int a = values[t], b = values[other];
                if ((a > b) == ((t & size) == 0)) {
                    values[t] = b;
                    values[other] = a;
                }
            }
        }
    __syncthreads();
    x[256 * blockIdx.x + t] = values[t];
}

extern "C" __global__ void histogram(const unsigned char* x, unsigned* counts, int n)
{
    __shared__ unsigned bins[64];
    if (threadIdx.x < 64)
        bins[threadIdx.x] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&bins[x[i] / 4], 1u);
    __syncthreads();
    if (threadIdx.x < 64)
        atomicAdd(&counts[threadIdx.x], bins[threadIdx.x]);
}

extern "C" __global__ void scan_work_efficient(const int* x, int* y)
{
    extern __shared__ int tree[];
    int t = threadIdx.x, n = 2 * blockDim.x;
    tree[2 * t] = x[n * blockIdx.x + 2 * t];
    tree[2 * t + 1] = x[n * blockIdx.x + 2 * t + 1];
    int offset = 1;
    for (int d = n / 2; d > 0; d /= 2, offset *= 2) {
        __syncthreads();
        if (t < d)
            tree[offset * (2 * t + 2) - 1] += tree[offset * (2 * t + 1) - 1];
    }
    if (t == 0)
        tree[n - 1] = 0;
    for (int d = 1; d < n; d *= 2) {
        offset /= 2;
        __syncthreads();
        if (t < d) {
            int left = offset * (2 * t + 1) - 1, right = offset * (2 * t + 2) - 1, kept = tree[left];
            tree[left] = tree[right];
            tree[right] += kept;
        }
    }
    __syncthreads();
    y[n * blockIdx.x + 2 * t] = tree[2 * t];
    y[n * blockIdx.x + 2 * t + 1] = tree[2 * t + 1];
}

extern "C" __global__ void warp_votes(const int* x, unsigned* y)
{
    int value = x[blockIdx.x * blockDim.x + threadIdx.x];
    unsigned ballot = __ballot_sync(0xffffffff, value % 3 == 0);
    int rank = __popc(ballot & ((1u << (threadIdx.x % 32)) - 1));
    unsigned alike = __match_any_sync(0xffffffff, value & 3);
    int all, same = __match_all_sync(0xffffffff, value >> 30, &all);
    unsigned* row = y + 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    row[0] = ballot;
    row[1] = rank + 100 * __any_sync(0xffffffff, value == 7) + 200 * __all_sync(0xffffffff, value >= 0);
    row[2] = alike;
    row[3] = __ffs(alike) + (all ? same != 0 : 2);
}

// ---- integers

__constant__ unsigned sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

__device__ unsigned rotate(unsigned x, int n) { return x >> n | x << (32 - n); }

extern "C" __global__ void sha256(const unsigned char* messages, int size, unsigned* digests)
{
    // One message of up to 55 bytes a thread, so that it is one block.
    unsigned w[64], h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                            0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}, s[8];
    const unsigned char* message = messages + size * threadIdx.x;
    for (int i = 0; i < 16; i++) {
        w[i] = 0;
        for (int j = 4 * i; j < 4 * i + 4; j++)
            w[i] = w[i] << 8 | (j < size ? message[j] : j == size ? 0x80 : 0);
    }
    w[15] = 8 * size;
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7]
             + (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    for (int i = 0; i < 8; i++)
        s[i] = h[i];
#pragma unroll 1
    for (int i = 0; i < 64; i++) {
        unsigned t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25))
                    + ((s[4] & s[5]) ^ (~s[4] & s[6])) + sha256_constants[i] + w[i];
        unsigned t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22))
                    + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int j = 7; j > 0; j--)
            s[j] = s[j - 1];
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        digests[8 * threadIdx.x + i] = h[i] + s[i];
}

extern "C" __global__ void crc32(const unsigned char* messages, int size, unsigned* sums)
{
    __shared__ unsigned table[256];
    for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) {
        unsigned value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0xedb88320 : value >> 1;
        table[i] = value;
    }
    __syncthreads();
    unsigned sum = ~0u;
    for (int i = 0; i < size; i++)
        sum = table[(sum ^ messages[size * threadIdx.x + i]) & 0xff] ^ sum >> 8;
    sums[threadIdx.x] = ~sum;
}

extern "C" __global__ void hash64(const unsigned long long* x, unsigned long long* y)
{
    // The finaliser of MurmurHash3, then a multiplication of 64 by 64 bits into 128.
    unsigned long long h = x[threadIdx.x];
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdull;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ull;
    h ^= h >> 33;
    y[2 * threadIdx.x] = h;
    y[2 * threadIdx.x + 1] = __umul64hi(h, x[threadIdx.x]) ^ h * x[threadIdx.x];
}

extern "C" __global__ void philox(unsigned seed, unsigned* y)
{
    unsigned counter[4] = {blockIdx.x * blockDim.x + threadIdx.x, 0, 0, 0}, key[2] = {seed, 0};
    for (int round = 0; round < 10; round++) {
        unsigned high0 = __umulhi(0xD2511F53, counter[0]), low0 = 0xD2511F53 * counter[0];
        unsigned high1 = __umulhi(0xCD9E8D57, counter[2]), low1 = 0xCD9E8D57 * counter[2];
        unsigned next[4] = {high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0};
        for (int i = 0; i < 4; i++)
            counter[i] = next[i];
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
    reinterpret_cast<uint4*>(y)[blockIdx.x * blockDim.x + threadIdx.x] =
        make_uint4(counter[0], counter[1], counter[2], counter[3]);
}

extern "C" __global__ void edit_distance(const char* a, const char* b, int n, int* distances)
{
    // A thread a pair of words of n letters.
    unsigned char row[33];
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int above = row[j], change = a[n * threadIdx.x + i - 1] != b[n * threadIdx.x + j - 1];
            int least = min(diagonal + change, min(above, int(row[j - 1])) + 1);
            diagonal = above;
            row[j] = least;
        }
    }
    distances[threadIdx.x] = row[n];
}

extern "C" __global__ void byte_vectors(const uchar4* x, const unsigned* y, unsigned* z)
{
    uchar4 value = x[threadIdx.x];
    unsigned packed = *reinterpret_cast<unsigned*>(&value), other = y[threadIdx.x];
    z[4 * threadIdx.x] = __vaddus4(packed, other);
    z[4 * threadIdx.x + 1] = __vabsdiffu4(packed, other);
    z[4 * threadIdx.x + 2] = __byte_perm(packed, other, 0x5240) + value.w;
    z[4 * threadIdx.x + 3] = __dp4a(packed, other, 17u) + __brev(other);
}

// ---- simulations

extern "C" __global__ void mandelbrot(int* counts, int width, int height)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    double x0 = -2.25 + 3.0 * i / width, y0 = -1.5 + 3.0 * j / height, x = 0.0, y = 0.0;
    int count = 0;
    while (__dadd_rn(__dmul_rn(x, x), __dmul_rn(y, y)) <= 4.0 && count < 60) {
        double next = __dadd_rn(__dsub_rn(__dmul_rn(x, x), __dmul_rn(y, y)), x0);
        y = __dadd_rn(__dmul_rn(2.0 * x, y), y0);
        x = next;
        count++;
    }
    counts[j * width + i] = count;
}

extern "C" __global__ void n_body(const float4* bodies, float4* forces, int n)
{
    __shared__ float4 tile[64];
    float4 own = bodies[blockIdx.x * blockDim.x + threadIdx.x];
    float3 force = make_float3(0.0f, 0.0f, 0.0f);
    for (int first = 0; first < n; first += 64) {
        tile[threadIdx.x] = bodies[first + threadIdx.x];
        __syncthreads();
#pragma unroll 4
        for (int i = 0; i < 64; i++) {
            float dx = tile[i].x - own.x, dy = tile[i].y - own.y, dz = tile[i].z - own.z;
            float inverse = rsqrtf(dx * dx + dy * dy + dz * dz + 0.01f);
            float scale = tile[i].w * inverse * inverse * inverse;
            force.x += dx * scale;
            force.y += dy * scale;
            force.z += dz * scale;
        }
        __syncthreads();
    }
    forces[blockIdx.x * blockDim.x + threadIdx.x] = make_float4(force.x, force.y, force.z, 0.0f);
}

extern "C" __global__ void game_of_life(const unsigned char* x, unsigned char* y, int n)
{
    __shared__ unsigned char tile[18][18];
    for (int i = threadIdx.y * 16 + threadIdx.x; i < 18 * 18; i += 256) {
        int row = (16 * blockIdx.y + i / 18 + n - 1) % n, column = (16 * blockIdx.x + i % 18 + n - 1) % n;
        tile[i / 18][i % 18] = x[row * n + column];
    }
    __syncthreads();
    int alive = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            alive += tile[threadIdx.y + i][threadIdx.x + j];
    int own = tile[threadIdx.y + 1][threadIdx.x + 1];
    y[(16 * blockIdx.y + threadIdx.y) * n + 16 * blockIdx.x + threadIdx.x] = alive == 3 || (alive == 4 && own);
}

extern "C" __global__ void fourier_transform(const float2* x, float2* y)
{
    // Stockham's radix 2, 128 points by 64 threads.
    __shared__ float2 values[2][128];
    int t = threadIdx.x, from = 0;
    values[0][t] = x[128 * blockIdx.x + t];
    values[0][t + 64] = x[128 * blockIdx.x + t + 64];
    __syncthreads();
    for (int size = 1; size < 128; size *= 2, from ^= 1) {
        int k = t % size;
        float sine, cosine;
        sincospif(-float(k) / size, &sine, &cosine);
        float2 a = values[from][t], b = values[from][t + 64];
        float2 turned = make_float2(b.x * cosine - b.y * sine, b.x * sine + b.y * cosine);
        int place = 2 * (t - k) + k;
        values[from ^ 1][place] = make_float2(a.x + turned.x, a.y + turned.y);
        values[from ^ 1][place + size] = make_float2(a.x - turned.x, a.y - turned.y);
        __syncthreads();
    }
    y[128 * blockIdx.x + t] = values[from][t];
    y[128 * blockIdx.x + t + 64] = values[from][t + 64];
}
