"""Instructions outside all other tables of tests: flushed `set`, a drop that may not complete, and hints."""

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.errors import MemoryFault

SUBNORMAL, LEAST_NORMAL = np.float32(1e-40), np.float32(2.0**-126)
ENTRY = """.version 8.0
.target TARGET
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 to)
.maxntid 128, 1, 1
.minnctapersm 1
{
    .reg .u64 %x, %to, %first, %second;
    .reg .f32 %a, %b, %r;
    .reg .u32 %n, %t;
    .reg .pred %p;
    .shared .align 8 .b64 object;
    ld.param.u64 %x, [x];
    ld.param.u64 %to, [to];
BODY
    ret;
}
"""


def kernel(body, target="sm_90"):
    return ENTRY.replace("BODY", body).replace("TARGET", target)


def assembled(text, arch="sm_90"):
    """The text again, once ptxas has taken it."""
    assert toolchain.assembled_text(text, arch)
    return text


@pytest.mark.parametrize(
    ("opcode", "a", "b", "third", "result"),
    [
        ("set.eq.f32.f32",         SUBNORMAL,    0.0,       "",       0.0),  # not flushed: they differ
        ("set.eq.ftz.f32.f32",     SUBNORMAL,    0.0,       "",       1.0),  # flushed to +0
        ("set.eq.ftz.f32.f32",    -SUBNORMAL,    0.0,       "",       1.0),  # to -0, which equals +0
        ("set.gt.ftz.f32.f32",     LEAST_NORMAL, SUBNORMAL, "",       1.0),  # the least normal stays
        ("set.lt.ftz.f32.f32",     np.nan,       1.0,       "",       0.0),
        ("set.ltu.ftz.f32.f32",    np.nan,       1.0,       "",       1.0),
        ("set.eq.and.ftz.f32.f32", SUBNORMAL,    0.0,       ", %p",   1.0),
        ("set.eq.and.ftz.f32.f32", SUBNORMAL,    0.0,       ", !%p",  0.0),
        ("set.eq.xor.ftz.f32.f32", SUBNORMAL,    0.0,       ", %p",   0.0),
        ("set.ne.or.ftz.f32.f32",  SUBNORMAL,    0.0,       ", !%p",  0.0),
    ],
)  # fmt: skip
def test_a_flushed_set_compares_zeros_and_gives_one_or_zero(opcode, a, b, third, result):
    body = f"""
    ld.global.f32 %a, [%x];
    ld.global.f32 %b, [%x+4];
    setp.eq.u32 %p, 0, 0;
    {opcode} %r, %a, %b{third};
    st.global.f32 [%to], %r;"""
    out = np.full(1, np.nan, np.float32)
    emulator.run(assembled(kernel(body)), grid=1, block=1, args=[np.array([a, b], np.float32), out])
    assert out.tolist() == [result]


DROP = """
    mbarrier.init.shared.b64 [object], 3;
    mbarrier.arrive_drop.noComplete.release.cta.shared.b64 %first, [object], 1;
    mbarrier.pending_count.b64 %n, %first;
    st.global.u32 [%to], %n;
    mbarrier.arrive.shared.b64 %first, [object];
    mbarrier.arrive.shared.b64 %first, [object];
    mbarrier.arrive.shared.b64 %second, [object];
    mbarrier.pending_count.b64 %n, %second;
    st.global.u32 [%to+4], %n;"""


def test_a_drop_counts_as_an_arrival_and_is_not_expected_again():
    out = np.zeros(2, np.uint32)
    emulator.run(assembled(kernel(DROP)), grid=1, block=1, args=[np.zeros(2, np.float32), out])
    assert out.tolist() == [3, 2]


def test_a_drop_that_must_not_complete_a_phase_is_a_fault_if_it_does():
    text = kernel(DROP.replace("[object], 1;", "[object], 3;"))
    with pytest.raises(MemoryFault, match=r"completes the phase, which .noComplete does not allow"):
        emulator.run(text, grid=1, block=1, args=[np.zeros(2, np.float32), np.zeros(2, np.uint32)])


@pytest.mark.parametrize(
    ("hint", "arch"),
    [
        ("brkpt;", "sm_90"),
        ("setmaxnreg.dec.sync.aligned.u32 40;", "sm_90a"),
    ],
)
def test_hints_for_debuggers_and_register_files_have_no_effect(hint, arch):
    body = "    mov.u32 %t, %tid.x;\n    mad.wide.u32 %to, %t, 4, %to;\n    HINT\n    st.global.u32 [%to], %t;"
    results = []
    for hinted in (hint, ""):
        out = np.zeros(128, np.uint32)
        text = assembled(kernel(body.replace("HINT", hinted), arch), arch)
        execution = emulator.run(text, grid=1, block=128, args=[np.zeros(2, np.float32), out], arch=arch)
        results.append((out.tolist(), execution.counters["ptx_warp_instructions"]))
    (with_hint, counted), (without, fewer) = results
    assert with_hint == without == list(range(128))
    assert counted == fewer + 4  # it is executed once per warp
