"""A pipeline of sm_90a as a whole: a thread copies slabs by TMA into a ring, a warpgroup multiplies them by wgmma.

Each mistake that is planted in it is found: by a wrong result, a fault or a deadlock.
"""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.variation import Variation
from ptxbench.errors import Deadlock, KernelError
from ptxbench.tensor_map import TensorMap
from ptxbench.toolchain import locate, ptxas
from tests.folders import changed

D = ", ".join(f"%d{i}" for i in range(32))
PRODUCTS = "\n".join(
    f"    wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {{{D}}}, %da{step}, %db{step}, %more, 1, 1, 0, 0;"
    for step in range(4)
)
STEPS = "\n".join(
    f"    add.u64  %da{step}, %da0, {2 * step};\n    add.u64  %db{step}, %db0, {2 * step};" for step in (1, 2, 3)
)
"""16 columns of k are 32 bytes: 2 in a descriptor."""

STORES = "\n".join(
    f"    st.global.v2.f32  [%c_at+{32 * column}], {{%d{4 * column}, %d{4 * column + 1}}};\n"
    f"    st.global.v2.f32  [%c_below+{32 * column}], {{%d{4 * column + 2}, %d{4 * column + 3}}};"
    for column in range(8)
)

PIPELINE = f"""\
// c[m][n] = sum over k of a[m][k] * b[n][k]; f16 to f32, 64 x 64 of c for each CTA.
// Threads 0 to 127 multiply; thread 128 copies slabs of 64 columns of a and b, in a ring of two stages of 16 KiB.

.version 8.0
.target sm_90a
.address_size 64

.visible .entry pipeline(
    .param .align 64 .b8 map_a[128],
    .param .align 64 .b8 map_b[128],
    .param .u64 c,
    .param .u32 columns,
    .param .u32 slabs
)
.maxntid 256, 1, 1
{{
    .shared .align 1024 .b8 ring[32768];
    .shared .align 8 .b64 filled[2];
    .shared .align 8 .b64 used[2];

    .reg .u32   %thread, %lane, %warp, %slab, %slabs, %stage, %phase, %before, %ring_at, %filled_at, %used_at;
    .reg .u32   %k, %row, %column, %columns, %to_b, %sum, %part;
    .reg .u64   %map_a, %map_b, %c, %c_at, %c_below, %wide;
    .reg .u64   %da0, %da1, %da2, %da3, %db0, %db1, %db2, %db3;
    .reg .f32   %d<32>;
    .reg .pred  %first, %copies, %done, %more, %left, %signals;

    mov.u32       %thread, %tid.x;
    and.b32       %lane, %thread, 31;
    shr.u32       %warp, %thread, 5;
    ld.param.u32  %slabs, [slabs];
    mov.u64       %map_a, map_a;
    mov.u64       %map_b, map_b;
    cvta.param.u64  %map_a, %map_a;
    cvta.param.u64  %map_b, %map_b;

    // ---- filled: one arrival and its bytes; used: one arrival of each warp that multiplies
    setp.ne.u32   %first, %thread, 0;
    @%first bra   READY;
    mov.u32       %filled_at, filled;
    mov.u32       %used_at, used;
    mbarrier.init.shared::cta.b64  [%filled_at], 1;
    mbarrier.init.shared::cta.b64  [%filled_at+8], 1;
    mbarrier.init.shared::cta.b64  [%used_at], 4;
    mbarrier.init.shared::cta.b64  [%used_at+8], 4;
    fence.mbarrier_init.release.cluster;
READY:
    bar.sync      0;
    mov.u32       %slab, 0;
    setp.lt.u32   %copies, %thread, 128;
    @%copies bra  MULTIPLY;

    // ---- thread 128: for each slab, wait until its stage is used, then copy both tiles
    setp.ne.u32   %first, %thread, 128;
    @%first bra   DONE;
COPY:
    and.b32       %stage, %slab, 1;
    shr.u32       %phase, %slab, 1;
    and.b32       %phase, %phase, 1;
    xor.b32       %before, %phase, 1;
    mov.u32       %ring_at, ring;
    mad.lo.u32    %ring_at, %stage, 16384, %ring_at;
    mov.u32       %filled_at, filled;
    mad.lo.u32    %filled_at, %stage, 8, %filled_at;
    mov.u32       %used_at, used;
    mad.lo.u32    %used_at, %stage, 8, %used_at;
FREE:
    mbarrier.try_wait.parity.shared::cta.b64  %done, [%used_at], %before;
    @!%done bra   FREE;
    mbarrier.arrive.expect_tx.shared::cta.b64  _, [%filled_at], 16384;
    shl.b32       %k, %slab, 6;
    mov.u32       %row, %ctaid.y;
    shl.b32       %row, %row, 6;
    mov.u32       %column, %ctaid.x;
    shl.b32       %column, %column, 6;
    add.u32       %to_b, %ring_at, 8192;
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
        [%ring_at], [%map_a, {{%k, %row}}], [%filled_at];
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
        [%to_b], [%map_b, {{%k, %column}}], [%filled_at];
    add.u32       %slab, %slab, 1;
    setp.lt.u32   %left, %slab, %slabs;
    @%left bra    COPY;
    bra           DONE;

    // ---- the warpgroup: for each slab, wait until its stage is filled, multiply, give it back
MULTIPLY:
    and.b32       %stage, %slab, 1;
    shr.u32       %phase, %slab, 1;
    and.b32       %phase, %phase, 1;
    mov.u32       %ring_at, ring;
    mad.lo.u32    %ring_at, %stage, 16384, %ring_at;
    mov.u32       %filled_at, filled;
    mad.lo.u32    %filled_at, %stage, 8, %filled_at;
    mov.u32       %used_at, used;
    mad.lo.u32    %used_at, %stage, 8, %used_at;
ARRIVED:
    mbarrier.try_wait.parity.shared::cta.b64  %done, [%filled_at], %phase;
    @!%done bra   ARRIVED;
    // rows of 128 bytes, swizzled: 8 rows are 1024 bytes
    shr.u32       %part, %ring_at, 4;
    cvt.u64.u32   %da0, %part;
    or.b64        %da0, %da0, 0x4000004000010000;
    add.u64       %db0, %da0, 512;
{STEPS}
    setp.ne.u32   %more, %slab, 0;
    wgmma.fence.sync.aligned;
    wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {{{D}}}, %da0, %db0, %more, 1, 1, 0, 0;
    setp.eq.u32   %more, %slab, %slab;
{PRODUCTS.split(chr(10), 1)[1]}
    wgmma.commit_group.sync.aligned;
    wgmma.wait_group.sync.aligned 0;
    setp.eq.u32   %signals, %lane, 0;
    @%signals mbarrier.arrive.shared::cta.b64  _, [%used_at];
    add.u32       %slab, %slab, 1;
    setp.lt.u32   %left, %slab, %slabs;
    @%left bra    MULTIPLY;

    // ---- row 16 * warp + lane / 4 and the eighth below it; columns 2 * (lane % 4) of each eight
    ld.param.u64    %c, [c];
    ld.param.u32    %columns, [columns];
    cvta.to.global.u64  %c, %c;
    mov.u32         %row, %ctaid.y;
    shl.b32         %row, %row, 6;
    mad.lo.u32      %row, %warp, 16, %row;
    shr.u32         %part, %lane, 2;
    add.u32         %row, %row, %part;
    mov.u32         %column, %ctaid.x;
    shl.b32         %column, %column, 6;
    and.b32         %part, %lane, 3;
    mad.lo.u32      %column, %part, 2, %column;
    mad.lo.u32      %part, %row, %columns, %column;
    mad.wide.u32    %c_at, %part, 4, %c;
    mul.wide.u32    %wide, %columns, 32;
    add.u64         %c_below, %c_at, %wide;
{STORES}
DONE:
    ret;
}}
"""

M, N, K = 128, 64, 320
MAPS = {name: TensorMap(f"map_{name}", name, box=(64, 64), swizzle=128) for name in ("a", "b")}


def product(text, maps=MAPS, **options):
    """(c of the kernel, c of NumPy), of integers, so that sums are exact."""
    return launched(text, maps, **options)[:2]


def launched(text, maps=MAPS, **options):
    """What `product` gives, and the execution."""
    generator = np.random.default_rng(3)
    a, b = (generator.integers(-8, 9, (rows, K)).astype(np.float16) for rows in (M, N))
    c = np.full((M, N), np.nan, np.float32)
    mapped = [emulator.MapOf(array, maps[name]) for name, array in (("a", a), ("b", b))]
    execution = emulator.run(
        text, grid=(N // 64, M // 64), block=256, args=[*mapped, c, np.uint32(N), np.uint32(K // 64)], arch="sm_90a",
        **options,
    )  # fmt: skip
    return c, a.astype(np.float32) @ b.astype(np.float32).T, execution


def test_the_pipeline_gives_the_exact_bits_in_any_schedule_and_ptxas_accepts_it():
    for options in ({}, {"threads": 1}, {"placement": 5}, {"ctas": "last first"}):
        actual, expected = product(PIPELINE, **options)
        assert np.array_equal(actual, expected), options
    if tool := locate.program("ptxas"):
        ptxas.assemble(tool, PIPELINE, "sm_90a")


# what is wrong, the right text, the wrong text
MISTAKES = [
    ("no wait for the copies",        "@!%done bra   ARRIVED;",                   ""),
    ("a wrong parity",                "[%filled_at], %phase;",                    "[%filled_at], 1;"),
    ("too many bytes expected",       "_, [%filled_at], 16384;",                  "_, [%filled_at], 16400;"),
    ("too few bytes expected",        "_, [%filled_at], 16384;",                  "_, [%filled_at], 8192;"),
    ("no wait for the product",       "    wgmma.wait_group.sync.aligned 0;\n",    ""),
    ("an empty stage of two warps",   "[%used_at+8], 4;",                         "[%used_at+8], 2;"),
    ("a stage that is never awaited", "@!%done bra   FREE;",                      ""),
    ("a wrong stride",                "0x4000004000010000",                       "0x4000002000010000"),
    ("a wrong swizzle",               "0x4000004000010000",                       "0x8000004000010000"),
    ("no fence before the product",   "    wgmma.fence.sync.aligned;\n",           ""),
    ("a stage given back to no one",  "@%signals mbarrier.arrive.shared::cta.b64  _, [%used_at];", ""),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_mistake_in_the_pipeline_gives_a_wrong_result_or_an_error(right, wrong):
    try:
        actual, expected = product(changed(PIPELINE, right, wrong))
    except (Deadlock, KernelError) as error:
        assert "line " in str(error)  # noqa: PT017  an error must name its line
        return
    assert not np.array_equal(actual, expected)


def test_a_map_with_another_swizzle_than_the_descriptor_gives_a_wrong_result():
    actual, expected = product(PIPELINE, {**MAPS, "b": TensorMap("map_b", "b", box=(64, 64))})
    assert not np.array_equal(actual, expected)


def test_a_deadlock_names_what_the_mbarrier_lacks():
    with pytest.raises(Deadlock) as caught:
        product(changed(PIPELINE, "_, [%filled_at], 16384;", "_, [%filled_at], 16400;"))
    assert (
        "warps 0 to 3 wait at line 98, mbarrier.try_wait.parity.shared::cta.b64, the mbarrier at byte 32768 of shared "
        "memory: 1 of 1 arrivals, 16 bytes missing; warp 4 (lanes 0x00000001) waits at line 68, "
        "mbarrier.try_wait.parity.shared::cta.b64, the mbarrier at byte 32784 of shared memory: 0 of 4 arrivals."
    ) in str(caught.value)
    with pytest.raises(Deadlock, match=r"byte 32768 .*: 1 of 1 arrivals, [\d,]+ bytes more than expected"):
        product(changed(PIPELINE, "_, [%filled_at], 16384;", "_, [%filled_at], 8192;"))
    assert "wait_group" not in str(caught.value)


AHEAD = f"""\
.version 8.0
.target sm_90a
.address_size 64
.visible .entry ahead()
.maxntid 128, 1, 1
{{
    .shared .align 1024 .b8 tile[16384];
    .shared .align 8 .b64 filled;
    .reg .u32 %thread, %round, %phase;
    .reg .u64 %tile_at, %da0, %db0;
    .reg .f32 %d<32>;
    .reg .pred %first, %done, %more;
    mov.u32 %thread, %tid.x;
    setp.eq.u32 %first, %thread, 0;
    @%first mbarrier.init.shared::cta.b64 [filled], 1;
    @%first mbarrier.arrive.shared::cta.b64 _, [filled];
    bar.sync 0;
    mov.u64 %tile_at, tile;
    shr.u64 %da0, %tile_at, 4;
    or.b64 %da0, %da0, 0x4000004000010000;
    add.u64 %db0, %da0, 512;
    mov.u32 %round, 0;
NEXT:
    and.b32 %phase, %round, 1;
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [filled], %phase;
    @!%done bra WAIT;
    setp.ne.u32 %more, %round, 0;
    wgmma.fence.sync.aligned;
    {PRODUCTS.splitlines()[0]}
    wgmma.commit_group.sync.aligned;
    wgmma.wait_group.sync.aligned 0;
    @%first mbarrier.arrive.shared::cta.b64 _, [filled];
    add.u32 %round, %round, 1;
    setp.lt.u32 %more, %round, 4;
    @%more bra NEXT;
    ret;
}}
"""


def test_no_warp_runs_ahead_of_the_products_of_its_warpgroup():
    emulator.run(AHEAD, grid=1, block=128, args=[], arch="sm_90")


# ---- one arrival of a warpgroup, as in the C++ pipeline of CUTLASS


def released_by(thread):
    text = changed(PIPELINE, "[%used_at], 4;", "[%used_at], 1;")
    text = changed(text, "[%used_at+8], 4;", "[%used_at+8], 1;")
    return changed(text, "setp.eq.u32   %signals, %lane, 0;", f"setp.eq.u32   %signals, %thread, {thread};")


@pytest.mark.parametrize("thread", [0, 45, 127])
def test_a_stage_may_be_released_by_one_thread_of_the_warpgroup(thread):
    for options in ({}, {"threads": 1}, {"placement": 5}, {"variation": Variation(waits=7, lanes=1)}):
        actual, expected = product(released_by(thread), **options)
        assert np.array_equal(actual, expected), options


@pytest.mark.parametrize("thread", [0, 127])
def test_the_sanitizer_reports_a_stage_that_is_released_by_one_thread_of_the_warpgroup(thread):
    text = released_by(thread)
    lines = text.splitlines()
    findings = launched(text, sanitize=True)[2].findings
    assert {finding.kind for finding in findings} <= {"race", "pending-mma"}
    assert findings
    assert all("cp.async.bulk.tensor" in lines[finding.line - 1] for finding in findings)
    advice = "Let each warp of the warpgroup arrive after its own wgmma.wait_group."
    assert all(finding.message.endswith(advice) for finding in findings if finding.kind == "race")


def test_a_deadlock_names_the_wait_for_the_products_of_others():
    lost = changed(AHEAD, "WAIT:", "setp.ge.u32 %done, %thread, 96;\n    @%done mov.u32 %phase, 1;\nWAIT:")
    with pytest.raises(Deadlock) as caught:
        emulator.run(lost, grid=1, block=128, args=[], arch="sm_90")
    assert str(caught.value) == (
        "CTA 0 is deadlocked: warps 0 to 2 wait at line 34, wgmma.wait_group.sync.aligned, for products that another "
        "warp of its warpgroup has not issued; warp 3 waits at line 28, mbarrier.try_wait.parity.shared::cta.b64, the "
        "mbarrier at byte 16384 of shared memory: 0 of 1 arrivals."
    )
