// scan.s32: y[i] = x[0] + .. + x[i], in integers, in one pass: tiles of 2048, and a look back at the sums before.
// Paired with ../ptx/scan.s32.ptx; shapes and launch are in ../pairs/scan.s32.py.

constexpr unsigned ALL = 0xffffffff;
enum Flag : unsigned { EMPTY, AGGREGATE, PREFIX };

// A tile's state is one word, flag above value, so that no CTA can see the one without the other.
using State = unsigned long long;

__device__ State state_of(Flag flag, int value)
{
    return static_cast<State>(flag) << 32 | static_cast<unsigned>(value);
}

#if __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ >= 1209
__device__ State load_acquire(State* at)
{
    return __nv_atomic_load_n(at, __NV_ATOMIC_ACQUIRE, __NV_THREAD_SCOPE_DEVICE);
}

__device__ void store_release(State* at, State state)
{
    __nv_atomic_store_n(at, state, __NV_ATOMIC_RELEASE, __NV_THREAD_SCOPE_DEVICE);
}
#else                                   // no such functions yet: a volatile access is one access, the fence orders it
__device__ State load_acquire(State* at)
{
    const State state = *static_cast<volatile State*>(at);
    __threadfence();
    return state;
}

__device__ void store_release(State* at, State state)
{
    __threadfence();
    *static_cast<volatile State*>(at) = state;
}
#endif

// The sum of v over the lanes up to this one, of the first `lanes`.
__device__ int warp_scan(int v, unsigned lane, unsigned lanes)
{
    for (unsigned distance = 1; distance < lanes; distance *= 2) {
        const int left = __shfl_up_sync(ALL, v, distance);
        if (lane >= distance)
            v += left;
    }
    return v;
}

// The sum of all tiles before `tile`, by a warp: lane k looks at tile - 1 - k, then 32 further back.
__device__ int look_back(State* states, unsigned tile, unsigned lane)
{
    int exclusive = 0;
    unsigned prefixes;
    int look = tile - lane - 1;
    do {
        State state;
        unsigned flag;
        do {                            // before the first tile lies a known sum of 0
            state = look >= 0 ? load_acquire(&states[look]) : state_of(PREFIX, 0);
            flag = state >> 32;
        } while (__any_sync(ALL, flag == EMPTY));

        // Lanes beyond the nearest prefix, those that have one in a lane below them, have nothing to add.
        prefixes = __ballot_sync(ALL, flag == PREFIX);
        const unsigned nearer = prefixes & ((1u << lane) - 1);
        exclusive += __reduce_add_sync(ALL, nearer == 0 ? static_cast<int>(state) : 0);     // needs sm_80
        look -= 32;
    } while (prefixes == 0);
    return exclusive;
}

extern "C" __global__ void __launch_bounds__(256)
scan_s32(const int* __restrict__ x, int* __restrict__ y, unsigned* ticket, State* states, unsigned n)
{
    __shared__ unsigned drawn;
    __shared__ int warp_totals[8];
    __shared__ int warp_bases[8];
    const unsigned thread = threadIdx.x;
    const unsigned lane = thread % 32;
    const unsigned warp = thread / 32;

    // Not blockIdx.x: a CTA waits for the tiles before its own, so these must belong to CTAs that run already.
    if (thread == 0)
        drawn = atomicAdd(ticket, 1);
    __syncthreads();
    const unsigned tile = drawn;

    // A thread has two vectors of four, a from element i and b from i + 128: each load of a warp is 512 bytes in a row.
    const unsigned i = 2048 * tile + 256 * warp + 4 * lane;
    const bool whole = tile < n / 2048;
    int4 a, b;
    if (whole) {
        a = reinterpret_cast<const int4*>(x)[i / 4];
        b = reinterpret_cast<const int4*>(x)[i / 4 + 32];
    } else {                            // the last tile, unless 2048 divides n
        a.x = i < n ? x[i] : 0;
        a.y = i + 1 < n ? x[i + 1] : 0;
        a.z = i + 2 < n ? x[i + 2] : 0;
        a.w = i + 3 < n ? x[i + 3] : 0;
        b.x = i + 128 < n ? x[i + 128] : 0;
        b.y = i + 129 < n ? x[i + 129] : 0;
        b.z = i + 130 < n ? x[i + 130] : 0;
        b.w = i + 131 < n ? x[i + 131] : 0;
    }

    // Sums within each vector, then across the warp, then across the warps of the CTA.
    a.y += a.x;
    a.z += a.y;
    a.w += a.z;
    b.y += b.x;
    b.z += b.y;
    b.w += b.z;
    const int a_scan = warp_scan(a.w, lane, 32);
    const int b_scan = warp_scan(b.w, lane, 32);
    const int a_total = __shfl_sync(ALL, a_scan, 31);
    int a_base = a_scan - a.w;
    int b_base = b_scan - b.w + a_total;
    if (lane == 31)
        warp_totals[warp] = a_total + b_scan;
    __syncthreads();

    if (thread < 32) {                  // the last eight lanes do what the first eight do: lane 31 has the tile's sum
        const int total = warp_totals[lane % 8];
        const int scan = warp_scan(total, lane, 8);
        if (lane == 31)
            store_release(&states[tile], state_of(AGGREGATE, scan));
        const int exclusive = look_back(states, tile, lane);
        if (lane == 31)
            store_release(&states[tile], state_of(PREFIX, exclusive + scan));
        if (lane < 8)
            warp_bases[lane] = exclusive + scan - total;
    }
    __syncthreads();

    const int base = warp_bases[warp];
    a_base += base;
    b_base += base;
    a = {a.x + a_base, a.y + a_base, a.z + a_base, a.w + a_base};
    b = {b.x + b_base, b.y + b_base, b.z + b_base, b.w + b_base};
    if (whole) {
        reinterpret_cast<int4*>(y)[i / 4] = a;
        reinterpret_cast<int4*>(y)[i / 4 + 32] = b;
    } else {
        if (i < n) y[i] = a.x;
        if (i + 1 < n) y[i + 1] = a.y;
        if (i + 2 < n) y[i + 2] = a.z;
        if (i + 3 < n) y[i + 3] = a.w;
        if (i + 128 < n) y[i + 128] = b.x;
        if (i + 129 < n) y[i + 129] = b.y;
        if (i + 130 < n) y[i + 130] = b.z;
        if (i + 131 < n) y[i + 131] = b.w;
    }
}
