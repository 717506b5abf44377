"""hgemm_wgmma: a matrix product with a warpgroup that copies and two that multiply, and mistakes in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptxbench import emulator
from ptxbench.pair import ceil_div
from ptxbench.tensor_map import TensorMap
from tests.emulator.hopper.mistakes import Mistake, registers

TILE, SLAB, STAGES = 128, 64, 4
"""Rows and columns of a CTA's part of c; columns of a, and rows of b, in a stage; stages in the ring."""
C = registers("%c", 64)


def product(scale: str) -> str:
    """64 x 128 of c += 64 x 16 of a times 16 x 128 of b."""
    return (
        f"wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16\n        {{{C}}},\n"
        f"        %a_tile, %b_tile, {scale}, 1, 1, 0, 1;"
    )


PRODUCTS = "\n    add.u64  %a_tile, %a_tile, 2;\n    add.u64  %b_tile, %b_tile, 128;\n    ".join(
    product(scale) for scale in ("%adds", "1", "1", "1")
)


def stores() -> str:
    """Pairs of columns, 8 apart, of two rows that are 8 apart."""
    return "\n    ".join(
        f"add.u32  %i, %column, {8 * block};\n"
        f"    setp.lt.and.u32  %inside, %i, %n, %near;\n"
        f"    @%inside st.global.v2.f32  [%c_at+{32 * block}], {{%c{4 * block}, %c{4 * block + 1}}};\n"
        f"    setp.lt.and.u32  %inside, %i, %n, %far;\n"
        f"    @%inside st.global.v2.f32  [%c_below+{32 * block}], {{%c{4 * block + 2}, %c{4 * block + 3}}};"
        for block in range(TILE // 8)
    )


PTX = f"""\
// hgemm_wgmma: c = a b; a is m x k and b is k x n of f16, c is m x n of f32, rows contiguous. k and n: multiples of 8.
// Warpgroup 0 copies by TMA, 64 columns of a and 64 rows of b for each stage of 32 KiB; warpgroups 1 and 2 multiply 64
// rows each. Elements outside a and b arrive as zeros.
//
// grid (ceil(n / 128), ceil(m / 128), 1)   block (384, 1, 1)   shared 4 * 32768 + 1024 bytes, dynamic
// map_a: f16, dimensions (k, m), box (64, 128), swizzle 128.
// map_b: f16, dimensions (n, k), box (64, 64), swizzle 128.

.version 8.0
.target sm_90a
.address_size 64

.extern .shared .align 1024 .b8 dynamic[];

.visible .entry hgemm_wgmma(
    .param .align 64 .b8 map_a[128],
    .param .align 64 .b8 map_b[128],
    .param .u64 c,
    .param .u32 m,
    .param .u32 n,
    .param .u32 k
)
.maxntid 384, 1, 1
.minnctapersm 1                             // without it ptxas ignores setmaxnreg
{{
    .reg .u32   %thread, %warp, %lane, %group, %block_row, %block_column, %m, %n, %k, %slab, %slabs, %stage, %parity;
    .reg .u32   %ring, %filled_at, %used_at, %given_at, %stage_at, %b_at, %half, %second, %row, %below, %column, %i;
    .reg .u64   %map_a, %map_b, %a_tile, %b_tile, %c_at, %c_below, %wide;
    .reg .f32   %c<64>;
    .reg .pred  %other, %one, %done, %more, %wraps, %adds, %signals, %near, %far, %inside;
    .shared .align 8 .b64 filled[{STAGES}];           // a stage has its bytes
    .shared .align 8 .b64 used[{STAGES}];             // a stage may be filled again

    mov.u32         %thread, %tid.x;
    shr.u32         %warp, %thread, 5;
    and.b32         %lane, %thread, 31;
    shr.u32         %group, %thread, 7;
    mov.u32         %block_column, %ctaid.x;
    mov.u32         %block_row, %ctaid.y;
    shl.b32         %block_column, %block_column, 7;
    shl.b32         %block_row, %block_row, 7;
    ld.param.u32    %m, [m];
    ld.param.u32    %n, [n];
    ld.param.u32    %k, [k];
    add.u32         %slabs, %k, 63;
    shr.u32         %slabs, %slabs, 6;
    mov.u64         %map_a, map_a;
    mov.u64         %map_b, map_b;
    cvta.param.u64  %map_a, %map_a;
    cvta.param.u64  %map_b, %map_b;
    mov.u32         %ring, dynamic;
    add.u32         %ring, %ring, 1023;     // a swizzle of 128 bytes repeats every 1024
    and.b32         %ring, %ring, -1024;
    mov.u32         %stage, 0;
    mov.u32         %slab, 0;

    // ---- thread 0 makes the mbarriers
    setp.ne.u32     %other, %thread, 0;
    @%other bra     READY;
    prefetch.tensormap  [%map_a];
    prefetch.tensormap  [%map_b];
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
    setp.ne.u32     %other, %group, 0;
    @%other bra     MULTIPLY;

    // ---- one thread of warpgroup 0: for each slab, wait until its stage was used, and fill it
    setmaxnreg.dec.sync.aligned.u32  40;
    setp.ne.u32     %other, %warp, 0;
    @%other bra     DONE;
    elect.sync      _|%one, 0xffffffff;
    @!%one bra      DONE;
    add.u32         %second, %block_column, 64;
    mov.u32         %parity, 1;             // the phase before the first counts as complete
COPY:
    mov.u32         %filled_at, filled;
    mov.u32         %used_at, used;
    mad.lo.u32      %filled_at, %stage, 8, %filled_at;
    mad.lo.u32      %used_at, %stage, 8, %used_at;
FREE:
    mbarrier.try_wait.parity.shared::cta.b64  %done, [%used_at], %parity;
    @!%done bra     FREE;
    mbarrier.arrive.expect_tx.shared::cta.b64  _, [%filled_at], 32768;
    mad.lo.u32      %stage_at, %stage, 32768, %ring;
    add.u32         %b_at, %stage_at, 16384;
    add.u32         %half, %b_at, 8192;
    shl.b32         %row, %slab, 6;
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
        [%stage_at], [%map_a, {{%row, %block_row}}], [%filled_at];
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
        [%b_at], [%map_b, {{%block_column, %row}}], [%filled_at];
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
        [%half], [%map_b, {{%second, %row}}], [%filled_at];
    add.u32         %stage, %stage, 1;
    setp.eq.u32     %wraps, %stage, {STAGES};
    @%wraps mov.u32  %stage, 0;
    @%wraps xor.b32  %parity, %parity, 1;
    add.u32         %slab, %slab, 1;
    setp.lt.u32     %more, %slab, %slabs;
    @%more bra      COPY;
    bra             DONE;

    // ---- warpgroups 1 and 2: for each slab, wait until its stage is filled, multiply, and give back the stage before
MULTIPLY:
    setmaxnreg.inc.sync.aligned.u32  232;
    mov.u32         %parity, 0;
SLAB:
    mov.u32         %filled_at, filled;
    mad.lo.u32      %filled_at, %stage, 8, %filled_at;
FILLED:
    mbarrier.try_wait.parity.shared::cta.b64  %done, [%filled_at], %parity;
    @!%done bra     FILLED;
    // a, k contiguous: 8 rows are 1024 bytes.   b, n contiguous: 8 rows of k are 1024 bytes, 64 columns 8192.
    mad.lo.u32      %stage_at, %stage, 32768, %ring;
    add.u32         %b_at, %stage_at, 16384;
    sub.u32         %i, %group, 1;
    mad.lo.u32      %stage_at, %i, 8192, %stage_at;
    shr.u32         %stage_at, %stage_at, 4;
    shr.u32         %b_at, %b_at, 4;
    cvt.u64.u32     %a_tile, %stage_at;
    cvt.u64.u32     %b_tile, %b_at;
    or.b64          %a_tile, %a_tile, 0x4000004000010000;
    or.b64          %b_tile, %b_tile, 0x4000004002000000;
    setp.ne.u32     %adds, %slab, 0;
    wgmma.fence.sync.aligned;
    // 16 of k: 32 bytes of a row of a, 16 rows of b
    {PRODUCTS}
    wgmma.commit_group.sync.aligned;
    wgmma.wait_group.sync.aligned  1;       // the products of the slab before are done
    setp.eq.u32     %signals, %lane, 0;
    setp.ne.and.u32  %signals, %slab, 0, %signals;
    @%signals mbarrier.arrive.shared::cta.b64  _, [%given_at];
    mov.u32         %given_at, used;
    mad.lo.u32      %given_at, %stage, 8, %given_at;
    add.u32         %stage, %stage, 1;
    setp.eq.u32     %wraps, %stage, {STAGES};
    @%wraps mov.u32  %stage, 0;
    @%wraps xor.b32  %parity, %parity, 1;
    add.u32         %slab, %slab, 1;
    setp.lt.u32     %more, %slab, %slabs;
    @%more bra      SLAB;
    wgmma.wait_group.sync.aligned  0;

    // ---- c: rows 16 * warp + lane / 4 and 8 more, columns 8 * block + 2 * (lane % 4) and the next
    sub.u32         %i, %warp, 4;
    mad.lo.u32      %row, %i, 16, %block_row;
    shr.u32         %i, %lane, 2;
    add.u32         %row, %row, %i;
    add.u32         %below, %row, 8;
    and.b32         %i, %lane, 3;
    mad.lo.u32      %column, %i, 2, %block_column;
    setp.lt.u32     %near, %row, %m;
    setp.lt.u32     %far, %below, %m;
    ld.param.u64    %c_at, [c];
    cvta.to.global.u64  %c_at, %c_at;
    mul.wide.u32    %wide, %row, %n;
    shl.b64         %wide, %wide, 2;
    add.u64         %c_at, %c_at, %wide;
    mad.wide.u32    %c_at, %column, 4, %c_at;
    mul.wide.u32    %wide, %n, 32;
    add.u64         %c_below, %c_at, %wide;
    {stores()}
DONE:
    ret;
}}
"""
SHARED_BYTES = STAGES * 32768 + 1024
MAPS = {
    "a": TensorMap("map_a", "a", box=(64, 128), swizzle=128),
    "b": TensorMap("map_b", "b", box=(64, 64), swizzle=128),
}


def run(text: str = PTX, size: tuple[int, int, int] = (72, 136, 328), **options: Any) -> tuple[Any, Any, Any]:
    """c, c by NumPy, and the execution: of whole numbers, whose sums are exact. `size`: m, n, k."""
    m, n, k = size
    draw = np.random.default_rng(m + n + k)
    a, b = (draw.integers(-8, 9, shape).astype(np.float16) for shape in ((m, k), (k, n)))
    c = np.full((m, n), np.nan, np.float32)
    maps = [emulator.MapOf(array, MAPS[name]) for name, array in (("a", a), ("b", b))]
    execution = emulator.run(
        text, grid=(ceil_div(n, TILE), ceil_div(m, TILE)), block=384, args=[*maps, c, *map(np.uint32, size)],
        dynamic_shared_bytes=SHARED_BYTES, arch="sm_90a", **options,
    )  # fmt: skip
    return c, a.astype(np.float32) @ b.astype(np.float32), execution


MISTAKES = [
    Mistake("no wait for the copies",           "@!%done bra     FILLED;", "", at="mbarrier.try_wait"),
    Mistake("a wrong parity of the consumer",   "mov.u32         %parity, 0;", "mov.u32         %parity, 1;",
            at="mbarrier.try_wait"),
    Mistake("a wrong parity of the producer",   "mov.u32         %parity, 1; ", "mov.u32         %parity, 0; ",
            at="mbarrier.try_wait"),
    Mistake("too many bytes expected",          "[%filled_at], 32768;", "[%filled_at], 32784;", at="mbarrier.try_wait"),
    Mistake("too few bytes expected",           "[%filled_at], 32768;", "[%filled_at], 24576;",
            at="cp.async.bulk.tensor", finding="mbarrier"),
    Mistake("31 lanes that release a stage",     "@%signals mbarrier.arrive", "@!%signals mbarrier.arrive",
            at="mbarrier.arrive.shared", finding="mbarrier"),
    Mistake("a stage that is filled too early", "@!%done bra     FREE;", "", at="mbarrier.arrive.expect_tx"),
    Mistake("stages released before their products", "wgmma.wait_group.sync.aligned  1;", ""),
    Mistake("a stage released a product early", "wgmma.wait_group.sync.aligned  1;",
            "wgmma.wait_group.sync.aligned  2;", at="cp.async.bulk.tensor", finding="race"),
    Mistake("half of the consumers counted",    "[%used_at], 8;", "[%used_at], 4;", at="mbarrier.try_wait"),
    Mistake("no wait for the last product",     "wgmma.wait_group.sync.aligned  0;", ""),
    Mistake("products outside a group",         "wgmma.commit_group.sync.aligned;", ""),
    Mistake("a wrong swizzle",                  "0x4000004000010000", "0x8000004000010000"),
    Mistake("a wrong stride of a",              "0x4000004000010000", "0x4000002000010000"),
    Mistake("a wrong leading offset of b",      "0x4000004002000000", "0x4000004001000000"),
    Mistake("b not transposed",                 "%b_tile, %adds, 1, 1, 0, 1;", "%b_tile, %adds, 1, 1, 0, 0;"),
    Mistake("no wgmma.fence",                   "wgmma.fence.sync.aligned;", "", at="wgmma.mma_async"),
    Mistake("a store past the last row",        "setp.lt.u32     %far, %below, %m;", "setp.lt.u32     %far, %row, %m;",
            at="st.global"),
    Mistake("no fence.mbarrier_init",           "fence.mbarrier_init.release.cluster;", "",
            at="cp.async.bulk.tensor", finding="missing-proxy-fence"),
]  # fmt: skip
