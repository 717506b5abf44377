"""tensormap.replace and the tensormap proxy: every field, and changed maps with and without their fences."""

from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.emulator.isa import TABLE
from ptxbench.errors import MemoryFault, PtxSyntaxError
from ptxbench.tensor_map import TensorMap
from tests.emulator.modules import Modules

module = Modules()


def test_ptxas_accepts_these_kernels():
    module.assemble()


# The bits of each field, as ptxas's machine code for tensormap.replace writes them: first bit and width.
EXTENTS = {"box_dim": (440, 8), "global_dim": (256, 32), "element_stride": (416, 3)}
ELEMENTS = {**{i: (i, 0) for i in range(11)}, 11: (7, 1), 12: (8, 1), 13: (11, 0), 14: (12, 0), 15: (13, 0)}


def extents():
    for field, (first, width) in EXTENTS.items():
        for dimension in range(5):
            yield (f"{field}.space.b1024.b32 [%a], {dimension}, %v",
                   lambda v, at=first + width * dimension, width=width: [(at, width, v - 1)])  # fmt: skip


def strides():
    for stride in range(4):
        yield (f"global_stride.space.b1024.b64 [%a], {stride}, %w",
               lambda v, k=stride: [(96 + 32 * k, 32, v >> 4), (224 + 4 * k, 4, v >> 36)])  # fmt: skip


def choices():
    for value, (code, rounds) in ELEMENTS.items():
        yield value, "elemtype", [(71, 4, code), (80, 1, rounds)]
    for value in range(3):
        yield value, "interleave_layout", [(75, 2, value)]
    for value in range(5):
        yield value, "swizzle_mode", [(77, 2, value % 4), (86, 1, value // 4)]
    for value in range(4):
        yield value, "swizzle_atomicity", [(83, 2, value)]
    for value in range(2):
        yield value, "fill_mode", [(79, 1, value)]


FIELDS = [
    ("global_address.space.b1024.b64 [%a], %w", lambda v: [(0, 64, v), (85, 1, 0)]),
    ("rank.space.b1024.b32 [%a], %v", lambda v: [(68, 3, v)]),
    *extents(), *strides(),
    *((f"{field}.space.b1024.b32 [%a], {value}", lambda v, bits=bits: bits) for value, field, bits in choices()),
]  # fmt: skip
"""What is replaced by %v (32 bits) or %w (64 bits), and the bits that this sets: first, width, value."""


def case(number, line):
    return f"""
    setp.ne.u32 %other, %way, {number};
    @%other bra NOT_{number};
    mov.u64 %a, %maps;
    tensormap.replace.tile.{line.replace(".space", ".global")};
    mov.u64 %a, %here;
    tensormap.replace.tile.{line.replace(".space", ".shared::cta")};
    add.u64 %a, %maps, 128;
    tensormap.replace.tile.{line.replace(".space", "")};
NOT_{number}:"""


REPLACE = module(f"""
.visible .entry replace(.param .u64 maps, .param .u64 values)
{{
    // Each CTA has three copies of a map and a value; it replaces the field of its number in the first by a global
    // address, in the second by a generic one, and in a copy in shared memory, which becomes the third.
    .reg .u64 %maps, %values, %a, %w, %here, %at;
    .reg .u32 %way, %v, %t;
    .reg .pred %other, %first;
    .shared .align 128 .b8 map[128];
    ld.param.u64 %maps, [maps];
    ld.param.u64 %values, [values];
    mov.u32 %way, %ctaid.x;
    mov.u32 %t, %tid.x;
    mad.wide.u32 %maps, %way, 384, %maps;
    mad.wide.u32 %values, %way, 8, %values;
    ld.global.u64 %w, [%values];
    cvt.u32.u64 %v, %w;
    mov.u64 %here, map;
    mad.wide.u32 %at, %t, 4, %maps;
    mad.wide.u32 %a, %t, 4, %here;
    ld.global.u32 %t, [%at];
    st.shared.u32 [%a], %t;
    bar.sync 0;
    mov.u32 %t, %tid.x;
    setp.ne.u32 %first, %t, 0;
    @%first bra DONE;
{"".join(case(number, line) for number, (line, _) in enumerate(FIELDS))}
DONE:
    bar.sync 0;
    mad.wide.u32 %a, %t, 4, %here;
    ld.shared.u32 %t, [%a];
    st.global.u32 [%at+256], %t;
    ret;
}}
""", ("9.0", "sm_103a"))  # fmt: skip


def test_every_field_is_replaced_where_the_hardware_has_it():
    random = np.random.default_rng(4)
    maps = np.repeat(random.integers(0, 256, (len(FIELDS), 1, 128), np.uint8), 3, axis=1)
    values = random.integers(1, 1 << 63, len(FIELDS), np.uint64)
    before = maps.copy()
    emulator.run(REPLACE, grid=len(FIELDS), block=32, args=[maps, values])
    for number, (line, bits) in enumerate(FIELDS):
        expected = int.from_bytes(before[number, 0].tobytes(), "little")
        for first, width, value in bits(int(values[number])):
            ones = (1 << width) - 1
            expected = expected & ~(ones << first) | (value & ones) << first
        for copy in maps[number]:
            assert int.from_bytes(copy.tobytes(), "little") == expected, line


@pytest.mark.parametrize(
    ("line", "number", "other", "message"),
    [
        ("elemtype.global.b1024.b32 [%a], ", 15, "16", "a number from 0 to 15 as its elemtype"),
        ("elemtype.global.b1024.b32 [%a], ", 15, "%v", "a number from 0 to 15 as its elemtype"),
        ("fill_mode.global.b1024.b32 [%a], ", 1, "2", "a number from 0 to 1 as its fill_mode"),
        ("box_dim.global.b1024.b32 [%a], ", 4, "5", "a number from 0 to 4 as its dimension"),
        ("global_stride.global.b1024.b64 [%a], ", 3, "4", "a number from 0 to 3 as its stride"),
    ],
)
def test_a_number_out_of_its_range_is_an_error_of_the_text(line, number, other, message):
    assert f"{line}{number}" in REPLACE
    with pytest.raises(PtxSyntaxError, match=message):
        emulator.run(REPLACE.replace(f"{line}{number}", f"{line}{other}"), grid=1, block=32,
                     args=[np.zeros(384, np.uint8), np.zeros(1)])  # fmt: skip


# ---- the proxy

ACQUIRE = "fence.proxy.tensormap::generic.acquire.gpu [%map], 128;"
RELEASE = "fence.proxy.tensormap::generic.release.gpu;"
COPY = "tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned [%map], [%here], 128;"
PERSIST = module(f"""
.visible .entry persist(.param .align 64 .b8 map_x[128], .param .u64 x, .param .u64 y, .param .u64 maps,
                        .param .u32 turns)
{{
    // For each of `turns` rows of x, the warp changes the map in its CTA's part of `maps` and loads a box by it.
    .reg .u64 %m, %x, %y, %map, %at, %row;
    .reg .u32 %t, %i, %n, %v, %here, %place, %parity, %zero, %cta;
    .reg .pred %first, %done, %more;
    .shared .align 128 .b8 tile[128];
    .shared .align 128 .b8 map[128];
    .shared .align 8 .b64 full;
    mov.b64 %m, map_x;
    cvta.param.u64 %m, %m;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u64 %map, [maps];
    ld.param.u32 %n, [turns];
    mov.u32 %t, %tid.x;
    mov.u32 %cta, %ctaid.x;
    mad.wide.u32 %map, %cta, 128, %map;
    mov.u32 %v, %n;
    mul.lo.u32 %v, %v, %cta;
    mad.wide.u32 %x, %v, 128, %x;
    mad.wide.u32 %y, %v, 128, %y;
    mov.u32 %zero, 0;
    mov.u32 %here, map;
    setp.eq.u32 %first, %t, 0;
    @%first mbarrier.init.shared::cta.b64 [full], 1;
    @%first fence.mbarrier_init.release.cluster;
    // the map of the parameter, word by word
    mad.wide.u32 %at, %t, 4, %m;
    ld.param.u32 %v, [%at];
    mad.lo.u32 %place, %t, 4, %here;
    st.shared.u32 [%place], %v;
    bar.warp.sync -1;
    mov.u32 %i, 0;
    mov.u64 %row, %x;
TURN:
    @%first tensormap.replace.tile.global_address.shared::cta.b1024.b64 [%here], %row;
    bar.warp.sync -1;
    {COPY}
    bar.warp.sync -1;
    @%first {ACQUIRE}
    @%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 128;
    @%first cp.async.bulk.tensor.1d.shared::cluster.global.mbarrier::complete_tx::bytes
        [tile], [%map, {{%zero}}], [full];
    and.b32 %parity, %i, 1;
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [full], %parity;
    @!%done bra WAIT;
    mov.u32 %place, tile;
    mad.lo.u32 %place, %t, 4, %place;
    ld.shared.u32 %v, [%place];
    mad.wide.u32 %at, %t, 4, %y;
    st.global.u32 [%at], %v;
    bar.warp.sync -1;
    add.u64 %row, %row, 128;
    add.u64 %y, %y, 128;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, %n;
    @%more bra TURN;
    ret;
}}
""", ("8.3", "sm_90a"))  # fmt: skip
IN_PLACE = (COPY, f"@%first tensormap.replace.tile.global_address.global.b1024.b64 [%map], %row;\n    {RELEASE}")
"""The map is in global memory, and is changed there."""
TURNS = 3


def persisted(*changes, ctas=2, **options):
    """The execution, x and y: rows of 32 numbers."""
    text = PERSIST
    for right, wrong in changes:
        assert right in text, right
        text = text.replace(right, wrong)
    x = np.arange(ctas * TURNS * 32, dtype=np.uint32).reshape(-1, 32)
    y = np.zeros_like(x)
    tiled = emulator.MapOf(x, TensorMap("map_x", "x", box=(32,), shape=lambda: (32,)))
    maps = np.frombuffer(tiled.encoded(0) * ctas, np.uint8).copy()
    return emulator.run(text, grid=ctas, block=32, args=[tiled, x, y, maps, np.uint32(TURNS)], **options), x, y


def test_a_changed_map_is_used_after_its_fences():
    for changes in ((), (IN_PLACE,)):
        execution, x, y = persisted(*changes)
        assert y.tolist() == x.tolist()
        assert "a tensor map that other CTAs may use" in execution.order_reason
        assert persisted(*changes, sanitize=True)[0].findings == ()


STORES = (COPY, f"""mad.lo.u32 %place, %t, 4, %here;
    mad.wide.u32 %at, %t, 4, %map;
    ld.shared.u32 %v, [%place];
    st.global.u32 [%at], %v;
    {RELEASE}""")  # fmt: skip
"""The map is copied by ordinary stores."""
ACQUIRES, SYNCED = f"@%first {ACQUIRE}", "\n    bar.warp.sync -1;\n    "


@pytest.mark.parametrize(
    "changes",
    [
        [(ACQUIRES, "")],
        [IN_PLACE, (ACQUIRES, "")],
        [IN_PLACE, (RELEASE, "")],
        [IN_PLACE, (f"{RELEASE}{SYNCED}{ACQUIRES}", f"{ACQUIRES}{SYNCED}{RELEASE}")],
        [STORES, (ACQUIRES, "")],
    ],
    ids=["no acquire", "in place, no acquire", "no release", "acquire before the release", "stores, no acquire"],
)  # fmt: skip
def test_a_changed_map_without_its_fences_is_a_fault(changes):
    with pytest.raises(MemoryFault) as caught:
        persisted(*changes)
    assert str(caught.value).partition(" by ")[2] == (
        "thread 0 of CTA 0 uses a tensor map that has changed, without fence.proxy.tensormap::generic.release after "
        "the change and .acquire of the map before the use."
    )


def test_ordinary_stores_change_a_map_too():
    _, x, y = persisted(STORES)
    assert y.tolist() == x.tolist()


def test_the_oldest_changed_maps_are_forgotten():
    """Each iteration uses another map; the oldest maps are forgotten."""
    change = ("add.u64 %row, %row, 128;", "add.u64 %row, %row, 128;\n    add.u64 %map, %map, 128;")
    ctas = 1
    text = PERSIST.replace(*change)
    x = np.arange(40 * 32, dtype=np.uint32).reshape(-1, 32)
    y = np.zeros_like(x)
    tiled = emulator.MapOf(x, TensorMap("map_x", "x", box=(32,), shape=lambda: (32,)))
    emulator.run(text, grid=ctas, block=32, args=[tiled, x, y, np.zeros(40 * 128, np.uint8), np.uint32(40)])
    assert y.tolist() == x.tolist()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("[%map], [%here], 128", "[%map], [%here], 64"), (".gpu [%map], 128", ".gpu [%map], 64")],
)
def test_the_size_of_a_map_is_its_only_size(right, wrong):
    with pytest.raises(PtxSyntaxError, match="takes 128 as its size"):
        persisted((right, wrong))


def test_the_table_has_only_spellings_that_ptxas_accepts():
    assert "tensormap.replace.tile.rank.b32.shared::cta.b1024" in TABLE
    assert "tensormap.replace.tile.rank.shared.b1024.b32" not in TABLE


CUDA = """
#include <cuda/ptx>
#include <cuda.h>
namespace ptx = cuda::ptx;

extern "C" __global__ void __cluster_dims__(2, 1, 1)
rows(const __grid_constant__ CUtensorMap like, const float* x, CUtensorMap* maps, float* y) {
    // The programming guide's way to change a map; then both CTAs of the cluster get the box.
    __shared__ alignas(128) CUtensorMap map;
    __shared__ alignas(128) float tile[32];
    __shared__ uint64_t full;
    const unsigned rank = ptx::get_sreg_cluster_ctarank(), cluster = blockIdx.x / 2;
    if (threadIdx.x == 0) {
        ptx::mbarrier_init(&full, 1);
        ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
        ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, &full, sizeof(tile));
        map = like;
        ptx::tensormap_replace_global_address(ptx::space_shared, &map, x + 32 * cluster);
        ptx::tensormap_replace_box_dim(ptx::space_shared, &map, ptx::n32_t<0>{}, 32);
        ptx::tensormap_replace_global_dim(ptx::space_shared, &map, ptx::n32_t<0>{}, 20);
    }
    __syncwarp();
    CUtensorMap* mine = maps + cluster;
    ptx::barrier_cluster_arrive();
    ptx::barrier_cluster_wait();
    if (rank == 0) {
        ptx::tensormap_cp_fenceproxy(ptx::sem_release, ptx::scope_gpu, mine, &map, ptx::n32_t<128>{});
        if (threadIdx.x == 0) {
            ptx::fence_proxy_tensormap_generic(ptx::sem_acquire, ptx::scope_gpu, mine, ptx::n32_t<128>{});
            const int32_t place[1] = {0};
            ptx::cp_async_bulk_tensor(ptx::space_cluster, ptx::space_global, tile, mine, place, &full, (uint16_t)3);
        }
    }
    while (!ptx::mbarrier_try_wait_parity(&full, 0)) {}
    y[32 * blockIdx.x + threadIdx.x] = tile[threadIdx.x];
    ptx::barrier_cluster_arrive();
    ptx::barrier_cluster_wait();
}
"""


@pytest.mark.long
def test_a_kernel_of_cuda_c_changes_a_map_and_both_ctas_of_its_cluster_get_the_box():
    built = toolchain.compiled(CUDA.encode(), Path("rows.cu"), "sm_90a", ("-std=c++17",))
    x, y = np.arange(96, dtype=np.float32), np.zeros((6, 32), np.float32)
    like = emulator.MapOf(np.zeros(64, np.float32), TensorMap("like", "x", box=(16,)))
    emulator.run(built.ptx, grid=6, block=32, args=[like, x, np.zeros(3 * 128, np.uint8), y])
    expected = np.where(np.arange(32) < 20, x.reshape(3, 32), 0)
    assert y.tolist() == np.repeat(expected, 2, axis=0).tolist()
