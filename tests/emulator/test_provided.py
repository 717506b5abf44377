"""Services of a driver: reserved shared memory, the grid's workspace, a heap, and registers that describe the GPU."""

from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.emulator import heap
from ptxbench.emulator.parse import choose, parse
from ptxbench.emulator.runtime.context import GLOBAL_BASE
from ptxbench.emulator.variables import lay_out_provided
from ptxbench.errors import GridTooLarge, KernelTrap, MemoryFault, UnsupportedInstruction


def cuda(source, arch="sm_90"):
    return toolchain.compiled(source.encode(), Path("provided.cu"), arch, ())[0]


def registers(*names, declared=""):
    """A kernel that stores predefined registers of 32 bits."""
    body = "\n".join(f"mov.u32 %v, {name}; st.global.u32 [%out + {4 * i}], %v;" for i, name in enumerate(names))
    return f"""
.version 8.1
.target sm_75
.address_size 64
{declared}
.visible .entry k(.param .u64 out)
{{
    .reg .b32 %v;
    .reg .b64 %out;
    ld.param.u64 %out, [out];
    {body}
    ret;
}}
"""


def values_of(*names, arch="sm_90", declared="", dynamic=0):
    out = np.zeros(len(names), np.uint32)
    ptx = registers(*names, declared=declared)
    emulator.run(ptx, grid=1, block=1, args=[out], arch=arch, dynamic_shared_bytes=dynamic)
    return out.tolist()


# ---- the GPU


@pytest.mark.parametrize(
    ("arch", "multiprocessors", "warps"),
    [("sm_75", 40, 32), ("sm_80", 108, 64), ("sm_86", 82, 48), ("sm_90a", 132, 64), ("sm_103", 148, 64),
     ("sm_120", 170, 48), ("sm_121", 48, 48)],
)  # fmt: skip
def test_special_registers_describe_a_gpu_of_the_architecture(arch, multiprocessors, warps):
    assert values_of("%nsmid", "%nwarpid", arch=arch) == [multiprocessors, warps]


def test_ctas_are_assigned_to_the_multiprocessors_of_the_architecture_in_turn():
    ptx = registers("%smid").replace("mov.u32 %v", "mov.u32 %v, %ctaid.x; mad.wide.u32 %out, %v, 4, %out; mov.u32 %v")
    out = np.zeros(100, np.uint32)
    emulator.run(ptx, grid=100, block=1, args=[out], arch="sm_75")
    assert out.tolist() == [rank % 40 for rank in range(100)]


@pytest.mark.parametrize(
    ("arch", "total", "aggregate"),
    [("sm_75", 256, 256), ("sm_80", 256, 1280), ("sm_90", 256, 1280)],
)
def test_sizes_of_shared_memory_are_whole_allocation_units_of_the_architecture(arch, total, aggregate):
    names = ("%total_smem_size", "%aggr_smem_size", "%dynamic_smem_size")
    shared = ".shared .b8 own[100];"
    ptx = registers(*names).replace(".reg .b64", f"{shared} .reg .b64 %at; mov.u64 %at, own; .reg .b64", 1)
    out = np.zeros(3, np.uint32)
    emulator.run(ptx, grid=1, block=1, args=[out], arch=arch, dynamic_shared_bytes=60)
    assert out.tolist() == [total, aggregate, 60]


# ---- reserved shared memory

DYNAMIC = ".extern .shared .align 16 .b8 own[];"
OFFSETS = tuple(f"%reserved_smem_offset_{name}" for name in ("begin", "end", "cap", "0", "1"))


@pytest.mark.parametrize(("arch", "first"), [("sm_75", 0), ("sm_80", 1024), ("sm_90", 1024), ("sm_120", 1024)])
def test_shared_memory_addresses_start_above_the_drivers_part(arch, first):
    assert values_of("own", declared=DYNAMIC, dynamic=64, arch=arch) == [first]


def test_reserved_shared_memory_lies_below_the_kernels_own():
    begin, end, cap, zero, one, own = values_of(*OFFSETS, "own", declared=DYNAMIC, dynamic=64)
    assert (begin, end, cap, own) == (0, 1024, 1024, 1024)
    assert begin <= zero < one < end


def test_reserved_shared_memory_does_not_count_as_the_kernels():
    names = ("%total_smem_size", "%aggr_smem_size", "%dynamic_smem_size", "%reserved_smem_offset_1")
    assert values_of(*names, declared=DYNAMIC, dynamic=60)[:3] == [128, 1152, 60]


def test_an_older_architecture_has_no_reserved_shared_memory():
    with pytest.raises(UnsupportedInstruction, match=r"'%reserved_smem_offset_1' needs sm_80; this run is for sm_75"):
        values_of("%reserved_smem_offset_1", arch="sm_75")


ACCESS = """
.version 8.1
.target sm_80
.address_size 64
.visible .entry k(.param .u64 out, .param .u32 at)
{
    .reg .b32 %v, %at;
    .reg .b64 %out, %generic;
    .shared .align 4 .b8 own[64];
    ld.param.u64 %out, [out];
    ld.param.u32 %at, [at];
    BODY
    st.global.u32 [%out], %v;
    ret;
}
"""
SHARED = "mov.u32 %v, own; add.u32 %at, %at, %v; st.shared.u32 [%at], 7; ld.shared.u32 %v, [%at];"
GENERIC = (
    "mov.u64 %generic, own; cvta.shared.u64 %generic, %generic; cvt.s64.s32 %out, %at; "
    "add.u64 %generic, %generic, %out; ld.param.u64 %out, [out]; st.u32 [%generic], 7; "
    "cvta.to.shared.u64 %generic, %generic; cvt.u32.u64 %at, %generic; ld.shared.u32 %v, [%at];"
)


@pytest.mark.parametrize("body", [SHARED, GENERIC])
@pytest.mark.parametrize("reserved", ["", "mov.u32 %v, %reserved_smem_offset_1;"])
def test_shared_and_generic_addresses_lead_to_the_same_bytes(body, reserved):
    out = np.zeros(1, np.uint32)
    emulator.run(ACCESS.replace("BODY", reserved + body), grid=1, block=1, args=[out, np.uint32(60)])
    assert out[0] == 7


@pytest.mark.parametrize(
    ("at", "reserved", "message"),
    [
        (64,      "",                                     "writes byte 64 of shared memory, which has 64"),
        (-4,      "",                                     "writes byte -4 of shared memory, which has 64"),
        (-1024,   "",                                     "writes byte -1024 of shared memory, which has 64"),
        (-1 << 28, "",                                    "writes byte -268435456 of shared memory, which has 64"),
        (1 << 28, "",                                     "writes byte 268435456 of shared memory, which has 64"),
        (64,      "mov.u32 %v, %reserved_smem_offset_1;", "writes byte 64 of shared memory, which has 64"),
        (2,       "mov.u32 %v, %reserved_smem_offset_1;", "writes 4 bytes at byte 2 of shared memory, which has 64"),
    ],
)  # fmt: skip
def test_messages_count_bytes_from_the_kernels_own_memory_on(at, reserved, message):
    ptx = ACCESS.replace("BODY", reserved + SHARED)
    with pytest.raises(MemoryFault, match=message):
        emulator.run(ptx, grid=1, block=1, args=[np.zeros(1, np.uint32), np.uint32(at % 2**32)])


TILE = """
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace cg = cooperative_groups;
extern "C" __global__ void tiles(const int* x, int* out)
{
    __shared__ cg::block_tile_memory<512> room;
    extern __shared__ int totals[];
    auto block = cg::this_thread_block(room);
    auto tile = cg::tiled_partition<WIDTH>(block);
    int total = cg::reduce(tile, x[threadIdx.x], cg::plus<int>());
    tile.sync();
    if (tile.thread_rank() == 0) totals[tile.meta_group_rank()] = total + tile.meta_group_size();
    block.sync();
    if (threadIdx.x < 512 / WIDTH) out[threadIdx.x] = totals[threadIdx.x];
}
"""


@pytest.mark.parametrize(("width", "arch", "sanitize"), [(64, "sm_80", False), (256, "sm_90", True)])
def test_tiles_of_several_warps_meet_in_reserved_shared_memory(width, arch, sanitize):
    x, out = np.arange(512, dtype=np.int32), np.zeros(512 // width, np.int32)
    ptx = cuda(TILE.replace("WIDTH", str(width)), arch)
    execution = emulator.run(
        ptx, grid=1, block=512, args=[x, out], dynamic_shared_bytes=64, arch=arch, sanitize=sanitize
    )
    assert out.tolist() == (x.reshape(-1, width).sum(axis=1) + 512 // width).tolist()
    assert execution.findings == ()


# ---- a barrier of the whole grid

GRID = """
#include <cooperative_groups.h>
extern "C" __global__ void rotate(unsigned* y, unsigned* x, unsigned rounds)
{
    auto grid = cooperative_groups::this_grid();
    const unsigned long long next = (grid.thread_rank() + blockDim.x + 1) % grid.num_threads();
    for (unsigned i = 0; i < rounds; i++) {
        y[grid.thread_rank()] = x[next];
        grid.sync();
        x[grid.thread_rank()] = y[next] + 1;
        grid.sync();
    }
}
"""


@pytest.mark.parametrize(("grid", "block"), [(1, 33), (5, 64), ((2, 3, 2), (4, 8, 2))])
def test_a_grid_meets_at_its_barrier(grid, block):
    threads = int(np.prod(grid) * np.prod(block))
    width = block if isinstance(block, int) else block[0]
    y, x = np.zeros(threads, np.uint32), np.arange(threads, dtype=np.uint32)
    emulator.run(cuda(GRID), grid=grid, block=block, args=[y, x, np.uint32(3)])
    assert x.tolist() == ((np.arange(threads) + 6 * (width + 1)) % threads + 3).tolist()


def test_without_a_cooperative_launch_the_barrier_traps_and_the_message_says_why():
    arguments = [np.zeros(64, np.uint32), np.zeros(64, np.uint32), np.uint32(1)]
    with pytest.raises(KernelTrap, match=r"trap\. The launch is not cooperative: then a grid barrier of cooperative"):
        emulator.run(cuda(GRID), grid=2, block=32, args=arguments, cooperative=False)


def test_a_cooperative_grid_that_cannot_be_resident_at_once_is_refused():
    arguments = [np.zeros(5000, np.uint32), np.zeros(5000, np.uint32), np.uint32(1)]
    with pytest.raises(GridTooLarge, match=r"all its 5,000 CTAs must be resident at once; the emulator can hold 4,096"):
        emulator.run(cuda(GRID), grid=5000, block=1, args=arguments)
    with pytest.raises(
        GridTooLarge, match=r"all its 4,096 CTAs must be resident at once; the emulator can hold [1-3],"
    ):
        emulator.run(cuda(GRID), grid=4096, block=1024, args=arguments, dynamic_shared_bytes=200 << 10)


# ---- malloc and free

LISTS = """
struct Node { int value; Node* next; };
extern "C" __global__ void lists(int* out, int length)
{
    Node* first = nullptr;
    for (int i = 0; i < length; i++) first = new Node{i + (int)threadIdx.x, first};
    int total = 0;
    while (first) { total += first->value; Node* next = first->next; delete first; first = next; }
    out[blockIdx.x * blockDim.x + threadIdx.x] = total;
}
"""
ACCESSES = """
extern "C" __global__ void access(int* out, int count, int at, unsigned long long* where)
{
    int* first = (int*)malloc(count * sizeof(int));
    int* second = (int*)malloc(count * sizeof(int));
    where[blockIdx.x] = (unsigned long long)first;
    first[at] = 1;
    second[0] = first[0];
    *out = second[0];
    free(first);
    free(second);
}
"""


def test_blocks_of_the_heap_are_the_threads_own():
    out = np.zeros(96, np.int32)
    execution = emulator.run(cuda(LISTS), grid=3, block=32, args=[out, np.int32(20)])
    assert out.tolist() == 3 * [190 + 20 * thread for thread in range(32)]
    assert execution.order == "ascending"


def test_addresses_of_blocks_do_not_vary():
    seen = []
    for threads in (1, 7):
        where = np.zeros(5, np.uint64)
        arguments = [np.zeros(1, np.int32), np.int32(4), np.int32(0), where]
        emulator.run(cuda(ACCESSES), grid=5, block=1, args=arguments, threads=threads)
        seen.append(where.tolist())
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("count", "at", "message"),
    [
        (4, 4,  "writes byte 16 of 'malloc's block 1', which has 16"),
        (4, -1, "writes byte -4 of 'malloc's block 1', which has 16"),
        (0, 0,  "writes address 0x0, which is in no buffer"),
    ],
)  # fmt: skip
def test_an_access_outside_a_block_is_reported_with_the_block(count, at, message):
    arguments = [np.zeros(1, np.int32), np.int32(count), np.int32(at), np.zeros(1, np.uint64)]
    with pytest.raises(MemoryFault, match=message):
        emulator.run(cuda(ACCESSES), grid=1, block=1, args=arguments)


def test_a_sanitised_launch_continues_after_an_access_outside_a_block():
    arguments = [np.zeros(1, np.int32), np.int32(4), np.int32(4), np.zeros(1, np.uint64)]
    execution = emulator.run(cuda(ACCESSES), grid=1, block=1, args=arguments, sanitize=True)
    assert ["byte 16 of 'malloc's block 1', which has 16" in finding.message for finding in execution.findings] == [
        True
    ]


ARRAYS = """
struct Item { int value; short other; __device__ Item() : value(1) {} };
extern "C" __global__ void arrays(int* out, int count)
{
    Item* items = new Item[count];
    Item* more = new Item[2 * count];
    items[count - 1].value = 5;
    for (int i = 0; i < count; i++) out[i] = items[i].value + more[i].value;
    delete[] items;
    delete[] more;
}
"""


@pytest.mark.parametrize("sanitize", [False, True])
def test_the_compiler_may_store_the_number_of_elements_in_front_of_a_block(sanitize):
    out = np.zeros(4, np.int32)
    execution = emulator.run(cuda(ARRAYS), grid=1, block=1, args=[out, np.int32(4)], sanitize=sanitize)
    assert (out.tolist(), list(execution.findings)) == ([2, 2, 2, 6], [])
    assert not any("races in global memory" in note for note in execution.unchecked)


def test_the_arena_begins_before_the_first_block_and_the_number_in_front_of_it():
    """Otherwise the number goes to memory that is not the emulator's."""
    module = parse(cuda(ARRAYS))
    first, _ = lay_out_provided(module, choose(module, None)).heap
    assert first - heap.COUNT_BYTES >= GLOBAL_BASE


FREED = """
extern "C" __global__ void access(int* out, int at)
{
    int* block = (int*)malloc(16);
    volatile int* same = block;
    free(block);
    *out = same[at];
}
"""


def test_an_access_to_a_freed_block_is_reported():
    with pytest.raises(MemoryFault, match="reads byte 8 of 'malloc's block 1', which has 16, after free"):
        emulator.run(cuda(FREED), grid=1, block=1, args=[np.zeros(1, np.int32), np.int32(2)])


FULL = """
extern "C" __global__ void fill(unsigned* out)
{
    unsigned count = 0;
    while (malloc(1 << 20)) count++;
    out[0] = count;
    out[1] = malloc(16) != 0;
    out[2] = malloc(0) == 0;
}
extern "C" __global__ void twice(int) { void* block = malloc(16); free(nullptr); free(block); free(block); }
"""


def test_a_heap_without_room_gives_null():
    out = np.zeros(3, np.uint32)
    emulator.run(cuda(FULL), "fill", grid=1, block=1, args=[out])
    assert out.tolist() == [7, 1, 1]


OWN = """
.version 8.0
.target sm_80
.address_size 64
.func (.param .b64 address) malloc(.param .b64 size)
{
    .reg .b64 %v;
    ld.param.b64 %v, [size];
    add.u64 %v, %v, 1;
    st.param.b64 [address], %v;
    ret;
}
.visible .entry k(.param .u64 out)
{
    .reg .b64 %out, %v;
    .param .b64 size, address;
    ld.param.u64 %out, [out];
    st.param.b64 [size], 41;
    call.uni (address), malloc, (size);
    ld.param.b64 %v, [address];
    st.global.u64 [%out], %v;
    ret;
}
"""


def test_a_module_may_define_its_own_malloc():
    out = np.zeros(1, np.uint64)
    emulator.run(OWN, grid=1, block=1, args=[out])
    assert out[0] == 42


def test_a_block_can_be_freed_once():
    with pytest.raises(KernelTrap, match=r"free of 0x.*, which is not a live block from malloc"):
        emulator.run(cuda(FULL), "twice", grid=1, block=1, args=[np.int32(0)])


def test_neighbouring_freed_blocks_are_merged():
    gpu_heap = heap.Heap(1 << 40)
    blocks = [gpu_heap.allocate(size) for size in (100, 1, 16, 5000)]
    assert [block % heap.UNIT for block in blocks] == [0] * 4
    assert len(set(blocks)) == 4
    for block in (blocks[1], blocks[3], blocks[0], blocks[2]):
        assert gpu_heap.release(block)
        assert not gpu_heap.release(block)
    assert gpu_heap.gaps == [(0, heap.HEAP_BYTES)]


def test_a_heap_with_many_blocks_is_checked_as_a_whole():
    gpu_heap = heap.Heap(1 << 40)
    for _ in range(heap.MOST_CHECKED + 1):
        gpu_heap.allocate(8)
    assert gpu_heap.bounds() == [(1 << 40, (1 << 40) + heap.HEAP_BYTES)]
