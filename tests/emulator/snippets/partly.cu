// Variables, structures and arrays that get a value only in some threads or parts: correct, because nothing uses the rest.

#define OUT extern "C" __global__ void

struct Best {
    bool exists;
    int value, at;
};

__device__ Best better(Best a, Best b)
{
    if (!a.exists) return b;
    if (!b.exists) return a;
    return a.value >= b.value ? a : b;
}

// The greatest number above 50, and where it is: in registers, by shuffles, and through shared memory.
OUT greatest(const int* x, int* out, int n)
{
    __shared__ Best of_warps[4];
    Best best;
    best.exists = false;
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        if (x[i] > 50) best = better(best, {true, x[i], i});
    for (int distance = 16; distance; distance /= 2) {
        Best other;
        other.exists = __shfl_down_sync(~0u, int(best.exists), distance);
        other.value = __shfl_down_sync(~0u, best.value, distance);
        other.at = __shfl_down_sync(~0u, best.at, distance);
        best = better(best, other);
    }
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = best;
    __syncthreads();
    if (threadIdx.x) return;
    for (int warp = 1; warp < 4; ++warp) best = better(best, of_warps[warp]);
    out[0] = best.exists ? best.value : -1;
    out[1] = best.exists ? best.at : -1;
}

// Tiles through shared memory; the last one is filled in part, and the next one is loaded while one is used.
OUT prefetched(const int* x, int* out, int n)
{
    __shared__ int tile[2][32];
    const int i = threadIdx.x, tiles = (n + 31) / 32;
    int next, sum = 0;
    if (i < n) next = x[i];
    for (int k = 0; k < tiles; ++k) {
        tile[k % 2][i] = next;
        __syncthreads();
        if (32 * (k + 1) + i < n) next = x[32 * (k + 1) + i];
        for (int j = 0; j < min(32, n - 32 * k); ++j) sum += tile[k % 2][j] * (j + i);
    }
    out[i] = sum;
}

struct Item {
    int key;
    short weight;  // and two bytes of padding
};

// Some neighbours, sorted by exchanging structures.
OUT sorted_items(const int* x, int* out, int n)
{
    Item items[4];
    int count = 0, i = threadIdx.x;
    for (int j = i; j < i + 4; ++j)
        if (x[j % n] % 2) {
            items[count].key = x[j % n];
            items[count++].weight = short(j - i);
        }
    for (int a = 0; a < count; ++a)
        for (int b = a + 1; b < count; ++b)
            if (items[b].key < items[a].key) {
                const Item item = items[a];
                items[a] = items[b];
                items[b] = item;
            }
    out[i] = count ? 10 * items[0].key + items[0].weight : -1;
}

// The four greatest, kept sorted; compared with places that are empty yet.
OUT four_greatest(const int* x, int* out, int n)
{
    int best[4], count = 0;
    for (int i = threadIdx.x; i < n; i += 32) {
        int v = x[i];
        for (int j = 0; j < 4; ++j)
            if (j >= count || v > best[j]) {
                const int smaller = best[j];
                best[j] = v;
                v = smaller;
                if (j >= count) {
                    ++count;
                    break;
                }
            }
    }
    for (int j = 0; j < 4; ++j) out[4 * threadIdx.x + j] = j < count ? best[j] : -1;
}

struct Candidate {
    float value;
    bool valid;
};

// The greatest of the odd values. Blackwell's compiler copies the padding of a structure too, and takes one byte of it.
OUT greatest_odd(const int* x, int* out, int n)
{
    __shared__ Candidate best[64];
    const int i = threadIdx.x;
    Candidate own;
    own.value = float(x[i]);
    own.valid = x[i] % 2;
    best[i] = own;
    __syncthreads();
    for (int distance = 32; distance > 0; distance /= 2) {
        if (i < distance) {
            const Candidate a = best[i], b = best[i + distance];
            best[i] = !b.valid || (a.valid && a.value > b.value) ? a : b;
        }
        __syncthreads();
    }
    if (i == 0) out[0] = int(best[0].value);
}
