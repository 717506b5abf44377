"""Tiles of shared memory of which a part was never written: a finding if a result depends on that part."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.variation import EVERY_LINE, Variation
from tests.emulator.fragments import program

LOAD = "ldmatrix.sync.aligned.m8n8.x4.shared.b16"
RAGGED = program(
    f""".visible .entry ragged_tile(.param .u64 x, .param .u64 out, .param .u32 written, .param .u32 kept)
{{
    .reg .u32 %thread, %row, %at, %n, %base, %column;
    .reg .u64 %x, %out, %from;
    .reg .b32 %word<4>, %a<4>, %b<2>;
    .reg .f32 %d<4>;
    .reg .pred %inside;
    .shared .align 16 .b8 tile[512];
    mov.u32 %thread, %tid.x;
    mov.u32 %base, tile;
    ld.param.u64 %x, [x];
    ld.param.u64 %out, [out];

    // ---- the first `written` rows of 16 f16, two lanes a row
    shr.u32 %row, %thread, 1;
    mad.lo.u32 %at, %thread, 16, %base;
    mad.wide.u32 %from, %thread, 16, %x;
    ld.param.u32 %n, [written];
    setp.lt.u32 %inside, %row, %n;
    @%inside ld.global.v4.b32 {{%word0, %word1, %word2, %word3}}, [%from];
    @%inside st.shared.v4.b32 [%at], {{%word0, %word1, %word2, %word3}};
    bar.sync 0;

    // ---- the product with a matrix of ones
    and.b32 %row, %thread, 15;
    shr.u32 %column, %thread, 4;
    mad.lo.u32 %at, %row, 32, %base;
    mad.lo.u32 %at, %column, 16, %at;
    {LOAD} {{%a0, %a1, %a2, %a3}}, [%at];
    mov.b32 %b0, 0x3c003c00;
    mov.b32 %b1, %b0;
    mov.f32 %d0, 0f00000000;
    mov.f32 %d1, %d0;
    mov.f32 %d2, %d0;
    mov.f32 %d3, %d0;
    mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {{%d0, %d1, %d2, %d3}}, {{%a0, %a1, %a2, %a3}}, {{%b0, %b1}},
        {{%d0, %d1, %d2, %d3}};

    // ---- the first `kept` rows of the product
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


@pytest.mark.parametrize("variation", [Variation(), Variation(memory=3), Variation(loads=EVERY_LINE)], ids=str)
@pytest.mark.parametrize(("kept", "kinds"), [(9, []), (10, ["uninitialised"]), (16, ["uninitialised"])])
def test_rows_that_were_not_written_are_a_finding_if_they_reach_a_result(kept, kinds, variation):
    x = np.ones((16, 16), np.float16)
    out = np.zeros((16, 8), np.float32)
    args = [x, out, np.uint32(9), np.uint32(kept)]
    execution = emulator.run(RAGGED, grid=1, block=32, args=args, sanitize=True, variation=variation)
    assert [finding.kind for finding in execution.findings] == kinds
    assert all(LOAD in RAGGED.splitlines()[finding.line - 1] for finding in execution.findings)
    assert (out[:9] == 16).all()
    assert not out[kept:].any()
