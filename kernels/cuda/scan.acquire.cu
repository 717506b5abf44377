// scan: y[i] = x[0] + .. + x[i], in one pass, as in scan.cu, but states have acquire and release order.
// Paired with ../ptx/scan.acquire.ptx; shapes and launch are in ../pairs/scan.py.

#ifndef BLOCK
#define BLOCK 128                       // threads, a power of two from 32 to 256
#endif

constexpr unsigned ALL = 0xffffffff;
constexpr unsigned TILE = 16 * BLOCK;
constexpr unsigned VECTORS = 4;         // a thread's, of four elements
constexpr unsigned RAKE = BLOCK / 32;   // float4s of vector totals that a lane of the first warp adds up
enum Flag : unsigned { EMPTY, AGGREGATE, PREFIX };

// A tile's state is one word, flag above value, so that no CTA can see one without the other.
using State = unsigned long long;

__device__ State state_of(Flag flag, float value)
{
    return static_cast<State>(flag) << 32 | __float_as_uint(value);
}

__device__ unsigned flag_of(State state)
{
    return static_cast<unsigned>(state >> 32);
}

// Acquire and release: who sees a state also sees what its CTA wrote before. Nothing here needs that.
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

// The sum of all tiles before `tile`, by a warp: lane k looks at tile - 1 - k, then 32 further back.
__device__ float look_back(State* states, unsigned tile, unsigned lane)
{
    float exclusive = 0.0f;
    unsigned prefixes;
    int look = tile - lane - 1;
    do {
        State state;
        for (;;) {                      // before the first tile there is a known sum of 0
            state = look >= 0 ? load_acquire(&states[look]) : state_of(PREFIX, 0.0f);
            if (!__any_sync(ALL, flag_of(state) == EMPTY))
                break;
            __nanosleep(64);            // so that waiting CTAs leave L2 to the others
        }

        // Lanes beyond the nearest prefix (a lower lane has one) have nothing to add.
        prefixes = __ballot_sync(ALL, flag_of(state) == PREFIX);
        const unsigned nearer = prefixes & ((1u << lane) - 1);
        float value = nearer == 0 ? __uint_as_float(static_cast<unsigned>(state)) : 0.0f;
        for (unsigned distance = 16; distance > 0; distance /= 2)
            value += __shfl_xor_sync(ALL, value, distance);
        exclusive += value;
        look -= 32;
    } while (prefixes == 0);
    return exclusive;
}

extern "C" __global__ void __launch_bounds__(BLOCK)
scan(const float* __restrict__ x, float* __restrict__ y, unsigned* ticket, State* states, unsigned n)
{
    __shared__ unsigned drawn;
    __shared__ float4 totals[36 * RAKE];
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
    const float4* from = reinterpret_cast<const float4*>(x + i);
    float4* to = reinterpret_cast<float4*>(y + i);
    const bool whole = tile < n / TILE;
    float4 v[VECTORS];
    if (whole) {
        for (unsigned k = 0; k < VECTORS; k++)
            v[k] = from[32 * k];
    } else {                            // the last tile, unless TILE divides n
        for (unsigned k = 0; k < VECTORS; k++) {
            const float* element = x + i + 128 * k;
            const int remaining = n - i - 128 * k;
            v[k].x = remaining > 0 ? element[0] : 0.0f;
            v[k].y = remaining > 1 ? element[1] : 0.0f;
            v[k].z = remaining > 2 ? element[2] : 0.0f;
            v[k].w = remaining > 3 ? element[3] : 0.0f;
        }
    }

    // Sums within each vector; the last one is its total. The totals are in the order of the elements, 32 in 36 words:
    // the four unused words keep these stores, and the float4 loads below, free of bank conflicts.
    float* own = reinterpret_cast<float*>(totals) + 144 * warp + lane;
    for (unsigned k = 0; k < VECTORS; k++) {
        v[k].y += v[k].x;
        v[k].z += v[k].y;
        v[k].w += v[k].z;
        own[36 * k] = v[k].w;
    }
    __syncthreads();

    // The first warp scans the totals, 4 * RAKE per lane, and replaces each by the sum of all before it.
    if (warp == 0) {
        float4* rake = totals + RAKE * lane + RAKE * lane / 8;
        float scan;
        for (unsigned k = 0; k < RAKE; k++) {
            const float4 t = rake[k];
            const float sum = (t.x + t.y) + (t.z + t.w);
            scan = k == 0 ? sum : scan + sum;
        }
        for (unsigned distance = 1; distance < 32; distance *= 2) {
            const float left = __shfl_up_sync(ALL, scan, distance);
            if (lane >= distance)
                scan += left;
        }
        if (lane == 31)
            store_release(&states[tile], state_of(AGGREGATE, scan));
        const float exclusive = look_back(states, tile, lane);
        if (lane == 31)
            store_release(&states[tile], state_of(PREFIX, exclusive + scan));

        // From the lane to the left; not scan minus the lane's own sum, because that difference would be rounded.
        const float left = __shfl_up_sync(ALL, scan, 1);
        float base = lane >= 1 ? exclusive + left : exclusive;
        for (unsigned k = 0; k < RAKE; k++) {
            const float4 t = rake[k];
            float4 before;
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
        const float base = own[36 * k];
        v[k] = {v[k].x + base, v[k].y + base, v[k].z + base, v[k].w + base};
    }
    if (whole) {
        for (unsigned k = 0; k < VECTORS; k++)
            to[32 * k] = v[k];
    } else {
        for (unsigned k = 0; k < VECTORS; k++) {
            float* element = y + i + 128 * k;
            const int remaining = n - i - 128 * k;
            if (remaining > 0) element[0] = v[k].x;
            if (remaining > 1) element[1] = v[k].y;
            if (remaining > 2) element[2] = v[k].z;
            if (remaining > 3) element[3] = v[k].w;
        }
    }
}
