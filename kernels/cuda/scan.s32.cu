// scan.s32: y[i] = x[0] + .. + x[i], in integers, in one pass: tiles of 2048, and a look-back at earlier sums.
// Paired with ../ptx/scan.s32.ptx; shapes and launch are in ../pairs/scan.s32.py.

#ifndef BLOCK
#define BLOCK 128                       // threads, a power of two from 32 to 256
#endif

constexpr unsigned ALL = 0xffffffff;
constexpr unsigned TILE = 16 * BLOCK;
constexpr unsigned VECTORS = 4;         // a thread's, of four elements
constexpr unsigned RAKE = BLOCK / 32;   // int4s of vector totals that a lane of the first warp adds up
enum Flag : unsigned { EMPTY, AGGREGATE, PREFIX };

// A tile's state is one word, flag above value, so that no CTA can see one without the other.
using State = unsigned long long;

__device__ State state_of(Flag flag, int value)
{
    return static_cast<State>(flag) << 32 | static_cast<unsigned>(value);
}

__device__ unsigned flag_of(State state)
{
    return static_cast<unsigned>(state >> 32);
}

// Relaxed, because CTAs exchange only this word.
#if __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ >= 1209
__device__ State load(State* at)
{
    return __nv_atomic_load_n(at, __NV_ATOMIC_RELAXED, __NV_THREAD_SCOPE_DEVICE);
}

__device__ void store(State* at, State state)
{
    __nv_atomic_store_n(at, state, __NV_ATOMIC_RELAXED, __NV_THREAD_SCOPE_DEVICE);
}
#else                                   // no such functions yet: a volatile access is one relaxed access
__device__ State load(State* at)
{
    return *static_cast<volatile State*>(at);
}

__device__ void store(State* at, State state)
{
    *static_cast<volatile State*>(at) = state;
}
#endif

// The sum of all tiles before `tile`, by a warp: lane k looks at tile - 1 - k, then 32 further back.
__device__ int look_back(State* states, unsigned tile, unsigned lane)
{
    int exclusive = 0;
    unsigned prefixes;
    int look = tile - lane - 1;
    do {
        State state;
        for (;;) {                      // before the first tile there is a known sum of 0
            state = look >= 0 ? load(&states[look]) : state_of(PREFIX, 0);
            if (!__any_sync(ALL, flag_of(state) == EMPTY))
                break;
            __nanosleep(64);            // so that waiting CTAs leave L2 to the others
        }

        // Lanes beyond the nearest prefix (a lower lane has one) have nothing to add.
        prefixes = __ballot_sync(ALL, flag_of(state) == PREFIX);
        const unsigned nearer = prefixes & ((1u << lane) - 1);
        exclusive += __reduce_add_sync(ALL, nearer == 0 ? static_cast<int>(state) : 0);     // needs sm_80
        look -= 32;
    } while (prefixes == 0);
    return exclusive;
}

extern "C" __global__ void __launch_bounds__(BLOCK)
scan_s32(const int* __restrict__ x, int* __restrict__ y, unsigned* ticket, State* states, unsigned n)
{
    __shared__ unsigned drawn;
    __shared__ int4 totals[36 * RAKE];
    const unsigned thread = threadIdx.x;
    const unsigned lane = thread % 32;
    const unsigned warp = __shfl_sync(ALL, thread / 32, 0);     // the same in all lanes, as the compiler now knows

    // Not blockIdx.x: a CTA waits for the tiles before its own, so CTAs that already run must have those.
    if (thread == 0)
        drawn = atomicAdd(ticket, 1);
    __syncthreads();
    const unsigned tile = drawn;

    // A thread has four vectors of four, 128 elements apart: each load of a warp is 512 consecutive bytes.
    const unsigned i = TILE * tile + 512 * warp + 4 * lane;
    const int4* from = reinterpret_cast<const int4*>(x + i);
    int4* to = reinterpret_cast<int4*>(y + i);
    const bool whole = tile < n / TILE;
    int4 v[VECTORS];
    if (whole) {
        for (unsigned k = 0; k < VECTORS; k++)
            v[k] = from[32 * k];
    } else {                            // the last tile, unless TILE divides n
        for (unsigned k = 0; k < VECTORS; k++) {
            const int* element = x + i + 128 * k;
            const int remaining = n - i - 128 * k;
            v[k].x = remaining > 0 ? element[0] : 0;
            v[k].y = remaining > 1 ? element[1] : 0;
            v[k].z = remaining > 2 ? element[2] : 0;
            v[k].w = remaining > 3 ? element[3] : 0;
        }
    }

    // Sums within each vector; the last one is its total. The totals are in the order of the elements, 32 in 36 words:
    // the four unused words keep these stores, and the int4 loads below, free of bank conflicts.
    int* own = reinterpret_cast<int*>(totals) + 144 * warp + lane;
    for (unsigned k = 0; k < VECTORS; k++) {
        v[k].y += v[k].x;
        v[k].z += v[k].y;
        v[k].w += v[k].z;
        own[36 * k] = v[k].w;
    }
    __syncthreads();

    // The first warp scans the totals, 4 * RAKE per lane, and replaces each by the sum of all before it.
    if (warp == 0) {
        int4* rake = totals + RAKE * lane + RAKE * lane / 8;
        int sum = 0;
        for (unsigned k = 0; k < RAKE; k++) {
            const int4 t = rake[k];
            sum += (t.x + t.y) + (t.z + t.w);
        }
        int scan = sum;
        for (unsigned distance = 1; distance < 32; distance *= 2) {
            const int left = __shfl_up_sync(ALL, scan, distance);
            if (lane >= distance)
                scan += left;
        }
        if (lane == 31)
            store(&states[tile], state_of(AGGREGATE, scan));
        const int exclusive = look_back(states, tile, lane);
        if (lane == 31)
            store(&states[tile], state_of(PREFIX, exclusive + scan));

        int base = exclusive + scan - sum;
        for (unsigned k = 0; k < RAKE; k++) {
            const int4 t = rake[k];
            int4 before;
            before.x = base;
            before.y = before.x + t.x;
            before.z = before.y + t.y;
            before.w = before.z + t.z;
            base = before.w + t.w;
            rake[k] = before;
        }
    }
    __syncthreads();

    for (unsigned k = 0; k < VECTORS; k++) {
        const int base = own[36 * k];
        v[k] = {v[k].x + base, v[k].y + base, v[k].z + base, v[k].w + base};
    }
    if (whole) {
        for (unsigned k = 0; k < VECTORS; k++)
            to[32 * k] = v[k];
    } else {
        for (unsigned k = 0; k < VECTORS; k++) {
            int* element = y + i + 128 * k;
            const int remaining = n - i - 128 * k;
            if (remaining > 0) element[0] = v[k].x;
            if (remaining > 1) element[1] = v[k].y;
            if (remaining > 2) element[2] = v[k].z;
            if (remaining > 3) element[3] = v[k].w;
        }
    }
}
