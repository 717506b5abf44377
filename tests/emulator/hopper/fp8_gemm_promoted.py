"""fp8_gemm_promoted: a product of e4m3 with scales, whose sums f32 additions promote, and mistakes in it."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ptxbench import emulator
from ptxbench.pair import ceil_div
from ptxbench.tensor_map import TensorMap
from tests.emulator.hopper.mistakes import Mistake, registers

TILE, SLAB, STAGES = 128, 128, 4
"""Rows and columns of a CTA's part of d; k of a stage, which has one scale; stages in the ring."""
COUNT = 64
"""Elements of d that a thread has."""
C = registers("%c", COUNT)


def products(first: str) -> str:
    """64 x 128 of c from 128 of k, in four steps; `first`: whether the first one adds to c."""
    return "\n    add.u64         %a_tile, %a_tile, 2;\n    add.u64         %b_tile, %b_tile, 2;\n    ".join(
        f"wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3\n        {{{C}}},\n"
        f"        %a_tile, %b_tile, {scale}, 1, 1;"
        for scale in (first, "1", "1", "1")
    )


def repeated(line: str) -> str:
    """`line` for each element i of d; `{s}` is the scale of its row."""
    return "\n    ".join(line.format(i=i, s="%s0" if i % 4 < 2 else "%s1") for i in range(COUNT))


def stores() -> str:
    """Pairs of columns, 8 apart, of two rows that are 8 apart, as bf16 in shared memory."""
    return "\n    ".join(
        f"cvt.rn.bf16x2.f32  %pair, %d{4 * block + 2 * half + 1}, %d{4 * block + 2 * half};\n"
        f"    st.shared.b32   [%d_at+{16 * block + 2 * TILE * 8 * half}], %pair;"
        for block in range(TILE // 8)
        for half in range(2)
    )


def kernel(*, promoted: bool = True) -> str:
    """The PTX. Not `promoted`: one chain of sums in the tensor cores, multiplied by the scales of the last slab."""
    add = "fma.rn.f32      %d{i}, {s}, %c{i}, %d{i};"
    return f"""\
// fp8_gemm_promoted: d[i][j] = the sum over slabs K of 128 of scale_a[K][i] * scale_b[j / 128][K] * c; c is the sum of
// a[i][k] * b[j][k] over the k of the slab. a is m x k and b is n x k of e4m3, k contiguous and a multiple of 128;
// scale_a is k / 128 x m and scale_b is ceil(n / 128) x k / 128 of f32; d is m x n of bf16. m: a multiple of 4, n of 8.
// The tensor cores add 128 products with 13 fraction bits; f32 FMAs add the slabs.
//
// grid (ceil(n / 128), ceil(m / 128), 1)   block (384, 1, 1)   shared 4 * 32768 + 32768 + 1024 bytes, dynamic
// map_a, map_b: u8, dimensions (k, rows), box (128, 128), swizzle 128.
// map_s: f32, dimensions (m, k / 128), box (128, 1).   map_d: bf16, dimensions (n, m), box (128, 64).

.version 8.0
.target sm_90a
.address_size 64

.extern .shared .align 1024 .b8 dynamic[];

.visible .entry fp8_gemm_promoted(
    .param .align 64 .b8 map_a[128],
    .param .align 64 .b8 map_b[128],
    .param .align 64 .b8 map_s[128],
    .param .align 64 .b8 map_d[128],
    .param .u64 scale_b,
    .param .u32 k
)
.maxntid 384, 1, 1
.minnctapersm 1                             // without it ptxas ignores setmaxnreg
{{
    .reg .u32   %thread, %warp, %lane, %group, %block_row, %block_column, %k, %slab, %slabs, %stage, %parity;
    .reg .u32   %ring, %filled_at, %used_at, %stage_at, %b_at, %scales_at, %d_at, %d_tile, %from, %row, %column, %i;
    .reg .b32   %pair;
    .reg .u64   %map_a, %map_b, %map_s, %map_d, %a_tile, %b_tile, %scale_b_at, %wide;
    .reg .f32   %c<{COUNT}>, %d<{COUNT}>, %s0, %s1, %scale_b;
    .reg .pred  %other, %one, %done, %more, %wraps, %adds, %signals;
    .shared .align 128 .f32 scales[{STAGES * TILE}];  // of the rows of a, for each stage
    .shared .align 8 .b64 filled[{STAGES}];
    .shared .align 8 .b64 used[{STAGES}];

    mov.u32         %thread, %tid.x;
    shr.u32         %warp, %thread, 5;
    and.b32         %lane, %thread, 31;
    shr.u32         %group, %thread, 7;
    mov.u32         %block_column, %ctaid.x;
    mov.u32         %block_row, %ctaid.y;
    shl.b32         %block_column, %block_column, 7;
    shl.b32         %block_row, %block_row, 7;
    ld.param.u32    %k, [k];
    shr.u32         %slabs, %k, 7;
    mov.u64         %map_a, map_a;
    mov.u64         %map_b, map_b;
    mov.u64         %map_s, map_s;
    mov.u64         %map_d, map_d;
    cvta.param.u64  %map_a, %map_a;
    cvta.param.u64  %map_b, %map_b;
    cvta.param.u64  %map_s, %map_s;
    cvta.param.u64  %map_d, %map_d;
    mov.u32         %ring, dynamic;
    add.u32         %ring, %ring, 1023;     // a swizzle of 128 bytes repeats every 1024
    and.b32         %ring, %ring, -1024;
    add.u32         %d_tile, %ring, {STAGES * 32768};
    mov.u32         %stage, 0;
    mov.u32         %slab, 0;

    // ---- thread 0 makes the mbarriers
    setp.ne.u32     %other, %thread, 0;
    @%other bra     READY;
    mov.u32         %i, 0;
INIT:
    mov.u32         %filled_at, filled;
    mov.u32         %used_at, used;
    mad.lo.u32      %filled_at, %i, 8, %filled_at;
    mad.lo.u32      %used_at, %i, 8, %used_at;
    mbarrier.init.shared::cta.b64  [%filled_at], 1;     // one arrival, and the bytes that it expects
    mbarrier.init.shared::cta.b64  [%used_at], 8;       // one arrival of each warp that multiplies
    add.u32         %i, %i, 1;
    setp.lt.u32     %more, %i, {STAGES};
    @%more bra      INIT;
    fence.mbarrier_init.release.cluster;
READY:
    bar.sync        0;
    griddepcontrol.wait;                    // stores of the grid before are visible from here on
    setp.ne.u32     %other, %group, 0;
    @%other bra     MULTIPLY;

    // ---- one thread of warpgroup 0: for each slab, wait until its stage was used, and fill it
    setmaxnreg.dec.sync.aligned.u32  40;
    setp.ne.u32     %other, %warp, 0;
    @%other bra     DONE;
    elect.sync      _|%one, 0xffffffff;
    @!%one bra      DONE;
    mov.u32         %parity, 1;             // the phase before the first counts as complete
COPY:
    mov.u32         %filled_at, filled;
    mov.u32         %used_at, used;
    mad.lo.u32      %filled_at, %stage, 8, %filled_at;
    mad.lo.u32      %used_at, %stage, 8, %used_at;
FREE:
    mbarrier.try_wait.parity.shared::cta.b64  %done, [%used_at], %parity;
    @!%done bra     FREE;
    mbarrier.arrive.expect_tx.shared::cta.b64  _, [%filled_at], 33280;
    mad.lo.u32      %stage_at, %stage, 32768, %ring;
    add.u32         %b_at, %stage_at, 16384;
    mov.u32         %scales_at, scales;
    mad.lo.u32      %scales_at, %stage, 512, %scales_at;
    shl.b32         %i, %slab, 7;
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
        [%stage_at], [%map_a, {{%i, %block_row}}], [%filled_at];
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
        [%b_at], [%map_b, {{%i, %block_column}}], [%filled_at];
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
        [%scales_at], [%map_s, {{%block_row, %slab}}], [%filled_at];
    add.u32         %stage, %stage, 1;
    setp.eq.u32     %wraps, %stage, {STAGES};
    @%wraps mov.u32  %stage, 0;
    @%wraps xor.b32  %parity, %parity, 1;
    add.u32         %slab, %slab, 1;
    setp.lt.u32     %more, %slab, %slabs;
    @%more bra      COPY;
    bra             DONE;

    // ---- warpgroups 1 and 2: row = of the thread in the tile
MULTIPLY:
    setmaxnreg.inc.sync.aligned.u32  232;
    sub.u32         %i, %warp, 4;
    shr.u32         %row, %lane, 2;
    mad.lo.u32      %row, %i, 16, %row;
    ld.param.u64    %scale_b_at, [scale_b];
    cvta.to.global.u64  %scale_b_at, %scale_b_at;
    mov.u32         %i, %ctaid.x;
    mul.wide.u32    %wide, %i, %slabs;
    shl.b64         %wide, %wide, 2;
    add.u64         %scale_b_at, %scale_b_at, %wide;
    {repeated("mov.f32         %d{i}, 0f00000000;")}
    mov.u32         %parity, 0;
SLAB:
    mov.u32         %filled_at, filled;
    mov.u32         %used_at, used;
    mad.lo.u32      %filled_at, %stage, 8, %filled_at;
    mad.lo.u32      %used_at, %stage, 8, %used_at;
FILLED:
    mbarrier.try_wait.parity.shared::cta.b64  %done, [%filled_at], %parity;
    @!%done bra     FILLED;

    // ---- c = the products of the slab
    mad.lo.u32      %stage_at, %stage, 32768, %ring;
    add.u32         %b_at, %stage_at, 16384;
    sub.u32         %i, %group, 1;
    mad.lo.u32      %stage_at, %i, 8192, %stage_at;
    shr.u32         %stage_at, %stage_at, 4;
    shr.u32         %b_at, %b_at, 4;
    cvt.u64.u32     %a_tile, %stage_at;
    cvt.u64.u32     %b_tile, %b_at;
    or.b64          %a_tile, %a_tile, 0x4000004000010000;   // k contiguous: 8 rows are 1024 bytes
    or.b64          %b_tile, %b_tile, 0x4000004000010000;
    setp.ne.u32     %adds, %slab, 0;
    wgmma.fence.sync.aligned;
    {products("0" if promoted else "%adds")}
    wgmma.commit_group.sync.aligned;

    // ---- scales are read before the stage is given back
    mov.u32         %scales_at, scales;
    mad.lo.u32      %scales_at, %stage, 512, %scales_at;
    mad.lo.u32      %scales_at, %row, 4, %scales_at;
    ld.shared.f32   %s0, [%scales_at];
    ld.shared.f32   %s1, [%scales_at+32];
    ld.global.nc.f32  %scale_b, [%scale_b_at];
    add.u64         %scale_b_at, %scale_b_at, 4;
    mul.rn.f32      %s0, %s0, %scale_b;
    mul.rn.f32      %s1, %s1, %scale_b;
    wgmma.wait_group.sync.aligned  0;
    bar.warp.sync   0xffffffff;             // the reads of the other lanes come before the arrival too
    setp.eq.u32     %signals, %lane, 0;
    @%signals mbarrier.arrive.shared::cta.b64  _, [%used_at];
    {repeated(add) if promoted else ""}
    add.u32         %stage, %stage, 1;
    setp.eq.u32     %wraps, %stage, {STAGES};
    @%wraps mov.u32  %stage, 0;
    @%wraps xor.b32  %parity, %parity, 1;
    add.u32         %slab, %slab, 1;
    setp.lt.u32     %more, %slab, %slabs;
    @%more bra      SLAB;
    griddepcontrol.launch_dependents;
    {"" if promoted else repeated(add)}

    // ---- d by way of shared memory: each warpgroup stores its 64 rows, one thread as one box
    and.b32         %i, %lane, 3;
    mad.lo.u32      %d_at, %row, {2 * TILE}, %d_tile;
    mad.lo.u32      %d_at, %i, 4, %d_at;
    {stores()}
    fence.proxy.async.shared::cta;
    bar.sync        %group, 128;
    and.b32         %i, %thread, 127;
    setp.ne.u32     %other, %i, 0;
    @%other bra     DONE;
    sub.u32         %i, %group, 1;
    mad.lo.u32      %from, %i, {64 * 2 * TILE}, %d_tile;
    mad.lo.u32      %row, %i, 64, %block_row;
    cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group  [%map_d, {{%block_column, %row}}], [%from];
    cp.async.bulk.commit_group;
    cp.async.bulk.wait_group  0;
DONE:
    ret;
}}
"""


PTX, CHAIN = kernel(), kernel(promoted=False)
SHARED_BYTES = STAGES * 32768 + 2 * TILE * TILE + 1024


def whole(draw: Any, shape: tuple[int, ...]) -> Any:
    return draw.integers(-8, 9, shape)


def data(size: tuple[int, int, int], values: Any, scaled: bool) -> tuple[Any, Any, Any, Any]:
    """a, b and their scales, which are powers of two, or all 1."""
    m, n, k = size
    draw = np.random.default_rng(m + n + k)
    a, b = (values(draw, shape).astype(ml_dtypes.float8_e4m3fn) for shape in ((m, k), (n, k)))
    low, high = (-2, 3) if scaled else (0, 1)
    scales = [
        np.exp2(draw.integers(low, high, shape)).astype(np.float32)
        for shape in ((k // SLAB, m), (ceil_div(n, TILE), k // SLAB))
    ]
    return a, b, *scales


def multiply(text: str, a: Any, b: Any, scale_a: Any, scale_b: Any, **options: Any) -> tuple[Any, emulator.Execution]:
    """d as float64."""
    (m, k), n = a.shape, len(b)
    d = np.full((m, n), np.nan, ml_dtypes.bfloat16)
    whole_box = {"box": (SLAB, TILE), "swizzle": 128}
    maps = [
        emulator.MapOf(a.view(np.uint8), TensorMap("map_a", "a", **whole_box)),
        emulator.MapOf(b.view(np.uint8), TensorMap("map_b", "b", **whole_box)),
        emulator.MapOf(scale_a, TensorMap("map_s", "scale_a", box=(TILE, 1))),
        emulator.MapOf(d, TensorMap("map_d", "d", box=(TILE, 64))),
    ]
    execution = emulator.run(
        text, grid=(ceil_div(n, TILE), ceil_div(m, TILE)), block=384, args=[*maps, scale_b, np.uint32(k)],
        dynamic_shared_bytes=SHARED_BYTES, arch="sm_90a", **options,
    )  # fmt: skip
    return d.astype(np.float64), execution


def in_float64(a: Any, b: Any, scale_a: Any, scale_b: Any) -> Any:
    wide_a, wide_b = (array.astype(np.float64) for array in (a, b))
    columns = np.arange(len(b)) // TILE
    return sum(
        scale_a[slab, :, None]
        * scale_b[columns, slab]
        * (wide_a[:, first : first + SLAB] @ wide_b[:, first : first + SLAB].T)
        for slab, first in enumerate(range(0, a.shape[1], SLAB))
    )


def run(text: str = PTX, size: tuple[int, int, int] = (72, 136, 640), **options: Any) -> tuple[Any, Any, Any]:
    """d, d by NumPy, and the execution: of whole numbers, whose sums are exact before the last rounding."""
    operands = data(size, whole, scaled=True)
    d, execution = multiply(text, *operands, **options)
    return d, in_float64(*operands).astype(ml_dtypes.bfloat16).astype(np.float64), execution


MISTAKES = [
    Mistake("no wait for the copies",         "@!%done bra     FILLED;", "", at="mbarrier.try_wait"),
    Mistake("a wrong parity",                 "mov.u32         %parity, 0;", "mov.u32         %parity, 1;",
            at="mbarrier.try_wait"),
    Mistake("too many bytes expected",        "[%filled_at], 33280;", "[%filled_at], 33792;", at="mbarrier.try_wait"),
    Mistake("the bytes of the scales not expected", "[%filled_at], 33280;", "[%filled_at], 32768;",
            at="cp.async.bulk", finding="mbarrier"),
    Mistake("31 lanes that release a stage",     "@%signals mbarrier.arrive", "@!%signals mbarrier.arrive",
            at="mbarrier.arrive.shared", finding="mbarrier"),
    Mistake("a stage that is filled too early", "@!%done bra     FREE;", "", at="mbarrier.arrive.expect_tx"),
    Mistake("no wait for the products",       "wgmma.wait_group.sync.aligned  0;", ""),
    Mistake("half of the consumers counted",  "[%used_at], 8;", "[%used_at], 4;", at="mbarrier.try_wait"),
    Mistake("a wrong swizzle of a",           "%a_tile, 0x4000004000010000", "%a_tile, 0x8000004000010000"),
    Mistake("a wrong stride of b",            "%b_tile, 0x4000004000010000", "%b_tile, 0x4000008000010000"),
    Mistake("no wgmma.fence",                 "wgmma.fence.sync.aligned;", "", at="wgmma.mma_async"),
    Mistake("sums that go on to the next slab", "%a_tile, %b_tile, 0, 1, 1;", "%a_tile, %b_tile, %adds, 1, 1;"),
    Mistake("a scale of another row",         "[%scales_at+32]", "[%scales_at+4]"),
    Mistake("no barrier before the store",    "bar.sync        %group, 128;", ""),
    Mistake("a store without a wait",         "cp.async.bulk.wait_group  0;", ""),
    Mistake("a store outside a group",        "cp.async.bulk.commit_group;", ""),
    Mistake("an arrival before the reads of other lanes", "bar.warp.sync   0xffffffff;", "",
            at="cp.async.bulk.tensor.2d.shared", finding="race"),
    Mistake("no proxy fence before the store", "fence.proxy.async.shared::cta;", "",
            at="cp.async.bulk.tensor.2d.global", finding="missing-proxy-fence"),
    Mistake("no fence.mbarrier_init",         "fence.mbarrier_init.release.cluster;", "",
            at="cp.async.bulk.tensor", finding="missing-proxy-fence"),
]  # fmt: skip
