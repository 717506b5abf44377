"""Tiles of shared memory of which a part was never written: a finding if a result depends on that part."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.variation import EVERY_LINE, Variation
from tests.emulator.fragments import program


def kernel(name, product):
    """Copies the first `written` rows of x, 16 x 16 f16, to a tile, multiplies the tile with a matrix of ones, and
    stores the first `kept` rows of the product's first 8 columns. `product`: the lines that give %d0 and %d1 of row
    lane / 4, and %d2 and %d3 of the row 8 below."""
    return program(
        f""".visible .entry {name}(.param .u64 x, .param .u64 out, .param .u32 written, .param .u32 kept)
{{
    .reg .u32 %thread, %row, %at, %n, %base, %column;
    .reg .u64 %x, %out, %from;
    .reg .b32 %word<4>, %a<8>, %b;
    .reg .f32 %zero, %d<8>;
    .reg .pred %inside;
    .shared .align 32 .b8 tile[512];
    mov.u32 %thread, %tid.x;
    mov.u32 %base, tile;
    ld.param.u64 %x, [x];
    ld.param.u64 %out, [out];

    // ---- the first `written` rows, two lanes a row
    shr.u32 %row, %thread, 1;
    mad.lo.u32 %at, %thread, 16, %base;
    mad.wide.u32 %from, %thread, 16, %x;
    ld.param.u32 %n, [written];
    setp.lt.u32 %inside, %row, %n;
    @%inside ld.global.v4.b32 {{%word0, %word1, %word2, %word3}}, [%from];
    @%inside st.shared.v4.b32 [%at], {{%word0, %word1, %word2, %word3}};
    bar.sync 0;

    // ---- the product
    mov.b32 %b, 0x3c003c00;
    mov.f32 %zero, 0f00000000;
    {product}

    // ---- the first `kept` rows of it
    shr.u32 %row, %thread, 2;
    mad.wide.u32 %from, %thread, 8, %out;
    ld.param.u32 %n, [kept];
    setp.lt.u32 %inside, %row, %n;
    @%inside st.global.v2.f32 [%from], {{%d0, %d1}};
    add.u32 %row, %row, 8;
    setp.lt.u32 %inside, %row, %n;
    @%inside st.global.v2.f32 [%from+256], {{%d2, %d3}};
    ret;
}}
"""
    )


KERNELS = {
    "ldmatrix": kernel("ragged_ldmatrix", """and.b32 %row, %thread, 15;
    shr.u32 %column, %thread, 4;
    mad.lo.u32 %at, %row, 32, %base;
    mad.lo.u32 %at, %column, 16, %at;
    ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%a0, %a1, %a2, %a3}, [%at];
    mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%d0, %d1, %d2, %d3}, {%a0, %a1, %a2, %a3}, {%b, %b},
        {%zero, %zero, %zero, %zero};"""),
    "wmma.load": kernel("ragged_wmma", """wmma.load.a.sync.aligned.row.m16n16k16.shared.f16
        {%a0, %a1, %a2, %a3, %a4, %a5, %a6, %a7}, [%base];
    wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {%d0, %d1, %d2, %d3, %d4, %d5, %d6, %d7},
        {%a0, %a1, %a2, %a3, %a4, %a5, %a6, %a7}, {%b, %b, %b, %b, %b, %b, %b, %b},
        {%zero, %zero, %zero, %zero, %zero, %zero, %zero, %zero};"""),
}  # fmt: skip


@pytest.mark.parametrize("load", KERNELS)
@pytest.mark.parametrize("variation", [Variation(), Variation(memory=3), Variation(loads=EVERY_LINE)])
@pytest.mark.parametrize(("kept", "kinds"), [(9, []), (10, ["uninitialised"]), (16, ["uninitialised"])])
def test_rows_that_were_not_written_are_a_finding_if_they_reach_a_result(load, kept, kinds, variation):
    text = KERNELS[load]
    x = np.ones((16, 16), np.float16)
    out = np.zeros((16, 8), np.float32)
    args = [x, out, np.uint32(9), np.uint32(kept)]
    execution = emulator.run(text, grid=1, block=32, args=args, sanitize=True, variation=variation)
    assert [finding.kind for finding in execution.findings] == kinds
    assert all(load in text.splitlines()[finding.line - 1] for finding in execution.findings)
    assert (out[:9] == 16).all()
    assert not out[kept:].any()
