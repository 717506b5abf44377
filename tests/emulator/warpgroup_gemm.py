"""C = A B of f16 by wgmma, for a test and for benchmarks/emulator.py. A is m x k, B is given as its n columns of k."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptxbench import emulator

M, N, K = 256, 256, 192
ROWS, COLUMNS, SLAB = 64, 128, 64
"""A CTA's part of C, and the k of a slab in shared memory, 128 bytes with a swizzle of 128."""
COUNT = COLUMNS // 2


def product(step: int) -> str:
    """16 of a slab's k: 32 bytes further in A and B."""
    registers = ", ".join(f"%c{i}" for i in range(COUNT))
    return f"""add.u64 %a_at, %a_tile, {2 * step};
    add.u64 %b_at, %b_tile, {2 * step};
    wgmma.mma_async.sync.aligned.m64n{COLUMNS}k16.f32.f16.f16 {{{registers}}},
        %a_at, %b_at, {1 if step else "%adds"}, 1, 1, 0, 0;"""


def stores() -> str:
    """Pairs of columns, of two rows that are 8 apart."""
    return "\n    ".join(
        f"st.global.v2.f32 [%to + {32 * block + 4 * 8 * N * half}], "
        f"{{%c{4 * block + 2 * half}, %c{4 * block + 2 * half + 1}}};"
        for block in range(COLUMNS // 8)
        for half in range(2)
    )


PTX = f"""
.visible .entry gemm(.param .u64 a, .param .u64 b, .param .u64 c)
{{
    .reg .b32 %t, %x, %y, %slab, %chunk, %row, %from, %place, %tile, %lane, %w<4>;
    .reg .b64 %a, %b, %c, %at, %a_tile, %b_tile, %a_at, %b_at, %to;
    .reg .f32 %c<{COUNT}>;
    .reg .pred %more, %adds, %of_a;
    .shared .align 1024 .b8 stage[{2 * SLAB * (ROWS + COLUMNS)}];
    mov.u32 %t, %tid.x;
    mov.u32 %x, %ctaid.x;
    mov.u32 %y, %ctaid.y;
    ld.param.u64 %a, [a];
    ld.param.u64 %b, [b];
    ld.param.u64 %c, [c];
    mov.u32 %tile, stage;
    shr.u32 %from, %tile, 4;
    cvt.u64.u32 %at, %from;
    or.b64 %a_tile, %at, 0x4000004000010000;    // swizzle 128, eight rows are 1024 bytes
    add.u64 %b_tile, %a_tile, {2 * SLAB * ROWS // 16};
    setp.lt.u32 %of_a, %t, {ROWS};
    mov.u32 %slab, 0;
NEXT:
    mov.u32 %chunk, 0;
COPY:                                           // thread t: 16 bytes of row t of B, and of A
    and.b32 %place, %t, 7;
    xor.b32 %place, %place, %chunk;
    shl.b32 %place, %place, 4;
    mad.lo.u32 %place, %t, {2 * SLAB}, %place;
    add.u32 %place, %place, %tile;
    mad.lo.u32 %row, %y, {COLUMNS}, %t;
    mul.lo.u32 %from, %row, {2 * K};
    mad.lo.u32 %from, %slab, {2 * SLAB}, %from;
    mad.lo.u32 %from, %chunk, 16, %from;
    cvt.u64.u32 %at, %from;
    add.u64 %at, %at, %b;
    ld.global.v4.b32 {{%w0, %w1, %w2, %w3}}, [%at];
    st.shared.v4.b32 [%place + {2 * SLAB * ROWS}], {{%w0, %w1, %w2, %w3}};
    mad.lo.u32 %row, %x, {ROWS}, %t;
    mul.lo.u32 %from, %row, {2 * K};
    mad.lo.u32 %from, %slab, {2 * SLAB}, %from;
    mad.lo.u32 %from, %chunk, 16, %from;
    cvt.u64.u32 %at, %from;
    add.u64 %at, %at, %a;
    @%of_a ld.global.v4.b32 {{%w0, %w1, %w2, %w3}}, [%at];
    @%of_a st.shared.v4.b32 [%place], {{%w0, %w1, %w2, %w3}};
    add.u32 %chunk, %chunk, 1;
    setp.lt.u32 %more, %chunk, 8;
    @%more bra COPY;
    fence.proxy.async;
    bar.sync 0;
    setp.ne.u32 %adds, %slab, 0;
    wgmma.fence.sync.aligned;
    {(chr(10) + "    ").join(product(step) for step in range(SLAB // 16))}
    wgmma.commit_group.sync.aligned;
    wgmma.wait_group.sync.aligned 0;
    bar.sync 0;
    add.u32 %slab, %slab, 1;
    setp.lt.u32 %more, %slab, {K // SLAB};
    @%more bra NEXT;
    shr.u32 %row, %t, 5;
    and.b32 %lane, %t, 31;
    shl.b32 %row, %row, 4;
    shr.u32 %from, %lane, 2;
    add.u32 %row, %row, %from;
    mad.lo.u32 %row, %x, {ROWS}, %row;
    and.b32 %from, %lane, 3;
    shl.b32 %from, %from, 1;
    mad.lo.u32 %from, %y, {COLUMNS}, %from;
    mad.lo.u32 %from, %row, {N}, %from;
    mul.wide.u32 %to, %from, 4;
    add.u64 %to, %to, %c;
    {stores()}
    ret;
}}
"""
HEADER = ".version 8.0\n.target sm_90a\n.address_size 64\n"


def operands() -> list[Any]:
    """A, B and C, with small whole numbers, so that sums are exact."""
    draw = np.random.default_rng(4)
    a, b = (draw.integers(-4, 5, (extent, K)).astype(np.float16) for extent in (M, N))
    return [a, b, np.zeros((M, N), np.float32)]


def multiply(arguments: list[Any], body: str = PTX, **options: Any) -> emulator.Execution:
    return emulator.run(
        HEADER + body, grid=(M // ROWS, N // COLUMNS), block=128, args=arguments, arch="sm_90", **options
    )
