"""Bugs of PTX: each rule plants its bug, and ptxas accepts the result."""

import re

import pytest

from ptxbench.bugs.bug import KINDS
from ptxbench.bugs.ptx import bugs
from ptxbench.discovery import default_kernels
from ptxbench.emulator.parse import parse

KERNEL = """\
.version 7.8
.target sm_90
.address_size 64
.visible .entry kernel(.param .u64 x, .param .u32 n)
{
    .reg .u32 %i, %n, %m, %v;
    .reg .s32 %s, %t;
    .reg .u64 %x, %w;
    .reg .f32 %f, %g;
    .reg .f64 %d;
    .reg .b16 %h;
    .reg .pred %p;
    .shared .u32 tile[32];
    ld.param.u64 %x, [x];  // the array
    ld.param.u32 %n, [n];
    mov.u32 %i, %tid.x;
    mov.u32 %m, 4;
LOOP:
    INSTRUCTION
    ret;
}
"""

# the instruction, the kind, the words, and the replacement
ROWS = [
    ("setp.lt.u32 %p, %i, %n;", "comparison", "lt to le", "setp.le.u32 %p, %i, %n;"),
    ("setp.eq.f32 %p, %f, %g;", "comparison", "eq to ne", "setp.ne.f32 %p, %f, %g;"),
    ("setp.lt.s32 %p, %s, %t;", "comparison", "s32 to u32", "setp.lt.u32 %p, %s, %t;"),
    ("@%p mov.u32 %m, 1;", "comparison", "guard @!%p", "@!%p mov.u32 %m, 1;"),
    ("setp.lt.u32 %p, %i, 256;", "bound", "256 to 255", "setp.lt.u32 %p, %i, 255;"),
    ("setp.lt.u32 %p, %i, %n;", "bound", "%n to %n - 1",
     "{ .reg .u32 %bug_bound; add.u32 %bug_bound, %n, -1; setp.lt.u32 %p, %i, %bug_bound; }"),
    ("ld.global.f32 %f, [%x];", "offset", "[%x] + 4", "ld.global.f32 %f, [%x + 4];"),
    ("st.global.v2.u64 [%x + 16], {%w, %w};", "offset", "[%x + 16] - 8", "st.global.v2.u64 [%x + 8], {%w, %w};"),
    ("and.b32 %m, %i, 31;", "offset", "and 31 to 15", "and.b32 %m, %i, 15;"),
    ("shfl.sync.bfly.b32 %v, %m, 16, 31, 0xffffffff;", "lanes", "distance 16 to 8",
     "shfl.sync.bfly.b32 %v, %m, 8, 31, 0xffffffff;"),
    ("shfl.sync.up.b32 %v, %m, 1, 0, 0xffffffff;", "lanes", "mask 0xffffffff to 0xffff",
     "shfl.sync.up.b32 %v, %m, 1, 0, 0xffff;"),
    ("bar.warp.sync 0xffffffff;", "lanes", "mask 0xffffffff to 0x7fffffff", "bar.warp.sync 0x7fffffff;"),
    ("bar.sync 0;", "barrier", "bar.sync dropped", ""),
    ("cp.async.wait_group 0;", "barrier", "cp.async.wait_group dropped", ""),
    ("mbarrier.try_wait.parity.shared.b64 %p, [tile], 0;", "barrier",
     "mbarrier.try_wait.parity.shared.b64 does not wait", "setp.eq.u32 %p, 0, 0;"),
    ("fence.acq_rel.gpu;", "scope", "gpu to cta", "fence.acq_rel.cta;"),
    ("ld.acquire.gpu.global.u32 %v, [%x];", "scope", "acquire to relaxed", "ld.relaxed.gpu.global.u32 %v, [%x];"),
    ("st.relaxed.sys.global.u32 [%x], %v;", "scope", "relaxed to weak", "st.global.u32 [%x], %v;"),
    ("red.global.add.u32 [%x], 1;", "scope", "atomic of the CTA alone", "red.relaxed.cta.global.add.u32 [%x], 1;"),
    ("@%p atom.shared.max.u32 %v, [tile], %m;", "atomic", "no longer atomic",
     "{ .reg .u32 %bug_0, %bug_new_0; @%p ld.shared.u32 %bug_0, [tile]; @%p max.u32 %bug_new_0, %bug_0, %m; "
     "@%p st.shared.u32 [tile], %bug_new_0; @%p mov.u32 %v, %bug_0; }"),
    ("mul.rn.f32 %f, %g, %g;", "precision", "cut to bf16",
     "{  mul.rn.f32 %f, %g, %g; and.b32 %f, %f, 0xffff0000; }"),
    ("fma.rn.f64 %d, %d, %d, %d;", "precision", "to f32 and back",
     "{ .reg .f32 %bug_single; fma.rn.f64 %d, %d, %d, %d; cvt.rn.f32.f64 %bug_single, %d; "
     "cvt.f64.f32 %d, %bug_single; }"),
    ("mul.rn.f32 %f, %g, 0f3fb8aa3b;", "precision", "constant 1.4427 cut to bf16", "mul.rn.f32 %f, %g, 0f3fb80000;"),
    ("madc.lo.cc.u32 %m, %i, %n, %v;", "precision", "carry lost, madc to mad", "mad.lo.cc.u32 %m, %i, %n, %v;"),
    ("cvt.rn.f16.f32 %h, %f;", "precision", "rn to rz", "cvt.rz.f16.f32 %h, %f;"),
    ("sub.u32 %m, %i, %n;", "operands", "%i and %n swapped", "sub.u32 %m, %n, %i;"),
    ("ld.global.v2.u32 {%m, %v}, [%x];", "operands", "%m and %v swapped", "ld.global.v2.u32 {%v, %m}, [%x];"),
    ("min.u32 %m, %i, %n;", "operands", "min to max", "max.u32 %m, %i, %n;"),
    ("@%p bra LOOP;", "tail", "loop left after one round", ""),
    ("@%p st.global.u32 [%x], %v;", "tail", "guarded store dropped", ""),
    ("st.global.u32 [%x], %v;", "tail", "not by the last CTA",
     "{ .reg .pred %bug_p; .reg .u32 %bug_t, %bug_n; mov.u32 %bug_t, %ctaid.x; mov.u32 %bug_n, %nctaid.x; "
     "sub.u32 %bug_n, %bug_n, 1; setp.ne.u32 %bug_p, %bug_t, %bug_n; @%bug_p st.global.u32 [%x], %v; }"),
    ("add.u32 %m, %m, 1;", "stale", "dropped", ""),
    ("add.u32 %v, %n, 7;", "stale", "%m for %n", "add.u32 %v, %m, 7;"),
]  # fmt: skip


@pytest.mark.parametrize(("instruction", "kind", "edit", "wanted"), ROWS)
def test_a_bug_is_one_change_of_one_instruction(instruction, kind, edit, wanted):
    text = KERNEL.replace("INSTRUCTION", instruction)
    matching = [bug for bug in bugs(text, "kernel") if (bug.kind, bug.edit, bug.line) == (kind, edit, 19)]
    assert [bug.planted(text) for bug in matching] == [KERNEL.replace("INSTRUCTION", wanted)]
    assert matching[0].code == instruction


def test_every_kind_has_a_row():
    assert {kind for _, kind, _, _ in ROWS} == set(KINDS)


def test_a_loaded_value_may_get_another_sign_and_an_index_may_not():
    edits = [bug.edit for bug in bugs(KERNEL.replace("INSTRUCTION", "shr.u32 %m, %i, 2;"), "kernel")]
    assert "u32 to s32" not in edits
    loaded = "ld.global.u32 %v, [%x]; shr.u32 %m, %v, 2;"
    assert "u32 to s32" in [bug.edit for bug in bugs(KERNEL.replace("INSTRUCTION", loaded), "kernel")]


def test_similar_bugs_are_distinguished_by_a_number():
    planted_bugs = bugs(KERNEL.replace("INSTRUCTION", "bar.sync 0;\n    bar.sync 0;"), "kernel")
    assert [(bug.line, bug.which) for bug in planted_bugs if bug.kind == "barrier"] == [(19, 1), (20, 2)]
    assert len({(bug.edit, bug.code, bug.which) for bug in planted_bugs}) == len(planted_bugs)


def test_the_emulator_reads_every_bug_of_a_shipped_kernel():
    for name in ("reduce_sum", "scatter_add_bf16.f32"):
        text = (default_kernels() / "ptx" / f"{name}.ptx").read_text()
        bug_list = bugs(text, name.replace(".", "_"))
        assert len(bug_list) > 60
        for bug in bug_list:
            planted = bug.planted(text)
            assert planted != text
            assert planted.count("\n") == text.count("\n")  # so that lines stay what they are
            parse(planted)
            assert re.sub(r"//.*", "", text.splitlines()[bug.line - 1]).split() == bug.code.split()
