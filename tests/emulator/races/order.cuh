// What the kernels of this folder say once. RACY(...) is there in the racy kernel only, ORDERED(...) in its twin only.
#ifdef PLANTED
#define RACY(...) __VA_ARGS__
#define ORDERED(...)
#else
#define RACY(...)
#define ORDERED(...) __VA_ARGS__
#endif

typedef unsigned u32;
typedef unsigned long long u64;

#define STORES(name, how)                                                            \
    __device__ __forceinline__ void name(u32* at, u32 value)                         \
    {                                                                                \
        asm volatile(how " [%0], %1;" ::"l"(at), "r"(value) : "memory");             \
    }
#define LOADS(name, how)                                                             \
    __device__ __forceinline__ u32 name(const u32* at)                               \
    {                                                                                \
        u32 value;                                                                   \
        asm volatile(how " %0, [%1];" : "=r"(value) : "l"(at) : "memory");           \
        return value;                                                                \
    }
STORES(store_relaxed, "st.relaxed.gpu.u32")
STORES(store_release, "st.release.gpu.u32")
STORES(store_release_cta, "st.release.cta.u32")
LOADS(load_relaxed, "ld.relaxed.gpu.u32")
LOADS(load_acquire, "ld.acquire.gpu.u32")
LOADS(load_acquire_cta, "ld.acquire.cta.u32")

__device__ __forceinline__ u32 shared_address(const void* at) { return (u32)__cvta_generic_to_shared(at); }

__device__ __forceinline__ void gate_init(u64* gate, u32 count)
{
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(gate)), "r"(count) : "memory");
}
__device__ __forceinline__ void gate_fence() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ __forceinline__ void gate_arrive(u64* gate)
{
    asm volatile("{ .reg .b64 s; mbarrier.arrive.shared.b64 s, [%0]; }" ::"r"(shared_address(gate)) : "memory");
}
__device__ __forceinline__ void gate_arrive_relaxed(u64* gate)
{
    asm volatile("{ .reg .b64 s; mbarrier.arrive.relaxed.cta.shared.b64 s, [%0]; }" ::"r"(shared_address(gate)) : "memory");
}
__device__ __forceinline__ void gate_expect(u64* gate, u32 bytes)
{
    asm volatile("{ .reg .b64 s; mbarrier.arrive.expect_tx.shared.b64 s, [%0], %1; }" ::"r"(shared_address(gate)),
                 "r"(bytes) : "memory");
}
__device__ __forceinline__ void gate_wait(u64* gate, u32 parity)
{
    u32 done = 0;
    while (!done)
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                     : "=r"(done) : "r"(shared_address(gate)), "r"(parity) : "memory");
}
template <int ID> __device__ __forceinline__ void named_sync(u32 threads)
{
    asm volatile("bar.sync %0, %1;" ::"n"(ID), "r"(threads) : "memory");
}
template <int ID> __device__ __forceinline__ void named_arrive(u32 threads)
{
    asm volatile("bar.arrive %0, %1;" ::"n"(ID), "r"(threads) : "memory");
}
__device__ __forceinline__ void copy_bulk(u32* to, const u32* from, u32 bytes, u64* gate)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)), "l"(from), "r"(bytes), "r"(shared_address(gate)) : "memory");
}
__device__ __forceinline__ void store_bulk(u32* to, const u32* from, u32 bytes)
{
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(shared_address(from)),
                 "r"(bytes) : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
__device__ __forceinline__ void proxy_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
