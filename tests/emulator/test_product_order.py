"""wgmma among other accesses: `sanitize=True` names each access that the order of wgmma does not allow.

A row changes a right kernel in one place. The kernel fills A and B by generic stores, multiplies, and uses D.
"""

from typing import NamedTuple

import numpy as np
import pytest

from ptxbench import emulator
from tests.folders import changed

RIGHT = """\
.version 8.0
.target sm_90a
.address_size 64
.visible .entry product(.param .u64 x, .param .u64 out)
{
    // A (64 x 16) and B (16 x 8) of f16 without a swizzle; blocks of 8 rows and 16 bytes are 128 bytes.
    .reg .b32 %t, %at, %two, %w, %gate;
    .reg .b64 %x, %out, %start, %a, %b;
    .reg .f32 %d<4>;
    .reg .b32 %a<4>;
    .reg .pred %one, %last, %done, %of_b;
    .shared .align 128 .b8 tile[2304];
    .shared .align 8 .b64 gate;
    mov.u32 %t, %tid.x;
    ld.param.u64 %x, [x];
    ld.param.u64 %out, [out];
    mov.u32 %at, tile;
    mov.u32 %two, 0x40004000;
    mov.f32 %d0, 0f00000000;
    mov.f32 %d1, 0f00000000;
    mov.f32 %d2, 0f00000000;
    mov.f32 %d3, 0f00000000;
    shr.u32 %w, %at, 4;
    cvt.u64.u32 %start, %w;
    or.b64 %a, %start, 0x0000001000080000;
    add.u64 %b, %a, 128;
    setp.lt.u32 %of_b, %t, 16;
    mov.u32 %gate, gate;
    setp.eq.u32 %one, %t, 0;
    setp.eq.u32 %last, %t, 96;
    @%one mbarrier.init.shared.b64 [%gate], 1;
    fence.mbarrier_init.release.cluster;
    bar.sync 0;
    mad.lo.u32 %at, %t, 16, %at;
    st.shared.v4.b32 [%at], {%two, %two, %two, %two};
    @%of_b st.shared.v4.b32 [%at+2048], {%two, %two, %two, %two};
    fence.proxy.async.shared::cta;
    bar.sync 0;
    wgmma.fence.sync.aligned;
    wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%d0, %d1, %d2, %d3}, %a, %b, 1, 1, 1, 0, 0;
    wgmma.commit_group.sync.aligned;
    // issued
    wgmma.wait_group.sync.aligned 0;
    // waited
    bar.sync 0;
    // met
    mad.wide.u32 %out, %t, 16, %out;
    st.global.v4.f32 [%out], {%d0, %d1, %d2, %d3};
    ret;
}
"""
ISSUED, WAITED, MET, STORED = (
    "    // issued\n",
    "    // waited\n",
    "    // met\n",
    "    fence.proxy.async.shared::cta;\n",
)
COPY = (
    "@%one mbarrier.arrive.expect_tx.shared.b64 _, [%gate], 2304;\n"
    "@%one cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [tile], [%x], 2304, [%gate];\n"
)
AWAIT = "HERE:\nmbarrier.try_wait.parity.shared.b64 %done, [%gate], 0;\n@!%done bra HERE;\n"
FROM_SHARED = (
    "    wgmma.fence.sync.aligned;\n    wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%d0, %d1, %d2, %d3}, %a,"
)
FROM_REGISTERS = "".join(f"mov.b32 %a{i}, %two;\n" for i in range(4)) + FROM_SHARED.replace(
    "}, %a,", "}, {%a0, %a1, %a2, %a3},"
)


class Mistake(NamedTuple):
    """`right` in the kernel becomes `wrong`; `kind` and `at`: of the finding, and the text of its line."""

    name: str
    right: str
    wrong: str
    kind: str
    at: str


MISTAKES = [
    Mistake("no proxy fence", STORED, "", "missing-proxy-fence", "wgmma.mma_async"),
    Mistake("a fence of global memory", STORED, "fence.proxy.async.global;\n", "missing-proxy-fence",
            "wgmma.mma_async"),
    Mistake("stores not ordered before", f"{STORED}    bar.sync 0;\n", STORED, "race", "wgmma.mma_async"),
    Mistake("B never stored", "@%of_b st.shared.v4.b32 [%at+2048], {%two, %two, %two, %two};", "", "uninitialised",
            "wgmma.mma_async"),
    Mistake("B beyond the variable", "tile[2304]", "tile[2048], rest[256]", "out-of-bounds", "wgmma.mma_async"),
    Mistake("a store to A before the wait", ISSUED, "st.shared.b32 [%at], %t;\n", "pending-mma", "st.shared.b32"),
    Mistake("an atomic on A before the wait", ISSUED, "red.shared.add.u32 [%at], %t;\n", "pending-mma", "red.shared"),
    Mistake("a store to A before others have waited", WAITED, "xor.b32 %w, %t, 64;\nmad.lo.u32 %w, %w, 16, 0;\n"
            "mov.u32 %at, tile;\nadd.u32 %at, %at, %w;\nst.shared.b32 [%at], %t;\n", "", "st.shared.b32"),
    Mistake("a copy over A before the wait", ISSUED, COPY, "pending-mma", "cp.async.bulk"),
    Mistake("a copy over A before others have waited", WAITED, COPY.replace("%one", "%last"), "", "cp.async.bulk"),
    Mistake("a copy to A without a wait", "    wgmma.fence", f"{COPY}    wgmma.fence", "pending-copy",
            "wgmma.mma_async"),
    Mistake("D used before the wait", ISSUED, "add.f32 %d0, %d0, %d1;\n", "pending-mma", "add.f32"),
    Mistake("D written before the wait", ISSUED, "mov.f32 %d3, 0f00000000;\n", "pending-mma", "mov.f32 %d3"),
    Mistake("D written after the fence", "    wgmma.mma_async", "    mov.f32 %d0, 0f3F800000;\n    wgmma.mma_async",
            "pending-mma", "wgmma.mma_async"),
    Mistake("no wgmma.fence", "    wgmma.fence.sync.aligned;\n", "", "pending-mma", "wgmma.mma_async"),
]  # fmt: skip
FINE = {
    "as it is": ("", ""),
    "a fence after the barrier": (f"{STORED}    bar.sync 0;\n", f"bar.sync 0;\n{STORED}"),
    "a store to A after all have waited": (MET, "st.shared.b32 [%at], %t;\n"),
    "a copy over A after all have waited": (MET, COPY + AWAIT),
    "A and B from a copy, over what a fence ordered": (
        "    wgmma.fence", f"{COPY}{AWAIT}    wgmma.fence"
    ),
    "A read before the wait": (ISSUED, "ld.shared.b32 %w, [%at];\n"),
}  # fmt: skip


A_IN_REGISTERS = changed(changed(RIGHT, FROM_SHARED, FROM_REGISTERS), "%b, 1, 1, 1, 0, 0;", "%b, 1, 1, 1, 0;")


def launched(text):
    x, out = np.full(1152, 2, np.float16), np.zeros((128, 4), np.float32)
    execution = emulator.run(text, grid=1, block=128, args=[x, out], arch="sm_90a", sanitize=True)
    return execution, out


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.name for mistake in MISTAKES])
def test_a_mistake_is_a_finding_with_its_line(mistake):
    text = changed(RIGHT, mistake.right, mistake.wrong)
    execution, _ = launched(text)
    lines = text.splitlines()
    kinds = {finding.kind for finding in execution.findings if mistake.at in lines[finding.line - 1]}
    assert mistake.kind in kinds if mistake.kind else kinds & {"race", "pending-mma"}, execution.findings


@pytest.mark.parametrize("name", FINE)
def test_a_right_order_has_no_finding_and_no_check_is_missing(name):
    right, wrong = FINE[name]
    execution, out = launched(changed(RIGHT, right, wrong) if right else RIGHT)
    assert (execution.findings, execution.unchecked) == ((), ())
    assert np.all(out == 64)


def test_registers_of_a_may_be_read_and_not_written_before_the_wait():
    execution, out = launched(changed(A_IN_REGISTERS, ISSUED, "add.u32 %w, %a0, %a1;\n"))
    assert (execution.findings, execution.unchecked) == ((), ())
    assert np.all(out == 64)
    execution, _ = launched(changed(A_IN_REGISTERS, ISSUED, "mov.b32 %a1, %t;\n"))
    (finding,) = execution.findings
    assert finding.kind == "pending-mma"
    assert "mov.b32 by thread 0 of CTA 0 uses '%a1' of a product that is not complete." in finding.message


def test_a_finding_names_both_sides():
    (finding,) = launched(changed(RIGHT, STORED, ""))[0].findings
    assert finding.message == (
        "line 39: wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 by thread 0 of CTA 0 reads byte 0 of shared memory "
        "in the async proxy, which st.shared.v4.b32 by thread 0 of CTA 0 at line 35 wrote, without a proxy fence "
        "between. Add fence.proxy.async after the write."
    )
