// A matrix product of CUTLASS and CuTe for sm_90a: c = a b^T of f16, k contiguous. Their pipeline, their wgmma atoms.
// grid (n / 128, m / 128), block 384, dynamic shared memory 3 * 32768 + 2048 bytes.

#include <cuda.h>
#include <cute/tensor.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/pipeline/sm90_pipeline.hpp>
#include <cutlass/arch/reg_reconfig.h>
using namespace cute;

constexpr int STAGES = 3;
using Slabs = decltype(tile_to_shape(GMMA::Layout_K_SW128_Atom<half_t>{}, make_shape(_128{}, _64{}, Int<STAGES>{})));
using Mma = decltype(make_tiled_mma(SM90_64x128x16_F32F16F16_SS<GMMA::Major::K, GMMA::Major::K>{},
                                    Layout<Shape<_2, _1, _1>>{}));
using Pipeline = cutlass::PipelineTmaAsync<STAGES>;

struct Storage {
    alignas(1024) ArrayEngine<half_t, cosize_v<Slabs>> a;
    alignas(1024) ArrayEngine<half_t, cosize_v<Slabs>> b;
    Pipeline::SharedStorage pipeline;
};

extern "C" __global__ void __launch_bounds__(384, 1)
cute_gemm(const __grid_constant__ CUtensorMap map_a, const __grid_constant__ CUtensorMap map_b, float* c, int n, int k)
{
    extern __shared__ char raw[];
    Storage& shared = *reinterpret_cast<Storage*>((reinterpret_cast<uintptr_t>(raw) + 1023) / 1024 * 1024);
    const int group = cutlass::canonical_warp_group_idx();
    const int slabs = k / 64;

    Pipeline::Params params;
    params.transaction_bytes = sizeof(half_t) * 2 * 128 * 64;
    params.role = group == 0 ? Pipeline::ThreadCategory::Producer : Pipeline::ThreadCategory::Consumer;
    params.is_leader = threadIdx.x == 0;
    params.num_consumers = 256;
    Pipeline pipeline(shared.pipeline, params, Shape<_1, _1, _1>{});
    __syncthreads();

    if (group == 0) {
        cutlass::arch::warpgroup_reg_dealloc<40>();
        if (cutlass::canonical_warp_idx_sync() == 0 && cute::elect_one_sync()) {
            auto state = cutlass::make_producer_start_state<Pipeline>();
            for (int slab = 0; slab < slabs; slab++) {
                pipeline.producer_acquire(state);
                auto* barrier = reinterpret_cast<uint64_t*>(pipeline.producer_get_barrier(state));
                half_t* a = shared.a.begin() + state.index() * 128 * 64;
                half_t* b = shared.b.begin() + state.index() * 128 * 64;
                SM90_TMA_LOAD_2D::copy(&map_a, barrier, uint64_t(TMA::CacheHintSm90::EVICT_NORMAL),
                                       a, 64 * slab, 128 * int(blockIdx.y));
                SM90_TMA_LOAD_2D::copy(&map_b, barrier, uint64_t(TMA::CacheHintSm90::EVICT_LAST),
                                       b, 64 * slab, 128 * int(blockIdx.x));
                ++state;
            }
            pipeline.producer_tail(state);
        }
        return;
    }
    cutlass::arch::warpgroup_reg_alloc<232>();
    Tensor sA = make_tensor(make_smem_ptr(shared.a.begin()), Slabs{});
    Tensor sB = make_tensor(make_smem_ptr(shared.b.begin()), Slabs{});
    Mma mma;
    auto mine = mma.get_thread_slice(threadIdx.x - 128);
    Tensor tA = mine.partition_fragment_A(sA);
    Tensor tB = mine.partition_fragment_B(sB);
    Tensor gC = make_tensor(make_gmem_ptr(c + 128 * int(blockIdx.y) * n + 128 * int(blockIdx.x)), make_shape(_128{}, _128{}), make_stride(n, _1{}));
    Tensor tC = mine.partition_C(gC);
    Tensor sum = mine.make_fragment_C(tC);
    clear(sum);
    cutlass::PipelineState<STAGES> read, release;
    for (int slab = 0; slab < slabs; slab++) {
        pipeline.consumer_wait(read);
        warpgroup_fence_operand(sum);
        warpgroup_arrive();
        gemm(mma, tA(_, _, _, read.index()), tB(_, _, _, read.index()), sum);
        warpgroup_commit_batch();
        warpgroup_wait<1>();
        warpgroup_fence_operand(sum);
        if (slab > 0) {
            pipeline.consumer_release(release);
            ++release;
        }
        ++read;
    }
    warpgroup_wait<0>();
    warpgroup_fence_operand(sum);
    pipeline.consumer_release(release);
    copy(sum, tC);
}
