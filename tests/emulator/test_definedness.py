"""A load of unwritten memory is reported if the value is used, and at the load; not if another value is chosen."""

import re

import numpy as np
import pytest

from ptxbench import emulator

WRITTEN = 8
KERNEL = """.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 out, .param .u32 limit)
{
    .reg .u32 %t, %v, %w, %x, %y, %sum, %slot, %limit, %i, %quarter, %wrapped, %of_lane;
    .reg .u64 %out, %at, %p;
    .reg .f32 %f;
    .reg .pred %chosen, %written, %q, %r, %more;
    .shared .align 16 .u32 tile[128];
    .local .align 16 .u32 own[4];
    ld.param.u64 %out, [out];
    ld.param.u32 %limit, [limit];
    mov.u32 %t, %tid.x;
    mul.wide.u32 %at, %t, 4;
    add.u64 %at, %at, %out;
    mov.u32 %slot, tile;
    mad.lo.u32 %slot, %t, 4, %slot;
    mov.u32 %quarter, tile;
    mad.lo.u32 %quarter, %t, 16, %quarter;
    setp.lt.u32 %written, %t, 8;
    @%written st.shared.u32 [%slot], 1;
    @%written st.local.u32 [own], 1;
    bar.sync 0;
    setp.lt.u32 %chosen, %t, %limit;
    rem.u32 %wrapped, %t, %limit;
    sub.u32 %sum, %limit, 1;
    min.u32 %of_lane, %t, %sum;
    mov.u32 %w, 0;
BODY
    ret;
}
"""
LOAD = "ld.shared.u32 %v, [%slot];\n"
USES = {
    "selp": LOAD + "add.u32 %x, %v, 1;\nselp.u32 %w, %x, %t, %chosen;\nst.global.u32 [%at], %w;",
    "a chain of choices": LOAD + """
        selp.u32 %w, %v, 0, %chosen;
        add.u32 %x, %w, 1;
        selp.u32 %y, %x, %w, %written;
        st.global.u32 [%at], %y;""",
    "a choice that another one drops": LOAD + """
        selp.u32 %w, %v, 0, 1;
        selp.u32 %x, %w, 0, %chosen;
        st.global.u32 [%at], %x;""",
    "slct by the value": LOAD + """
        selp.u32 %x, %v, 0, %chosen;
        slct.u32.s32 %w, %x, 1, %x;
        st.global.u32 [%at], %w;""",
    "slct": LOAD + """
        sub.u32 %x, %t, %limit;
        slct.u32.s32 %w, 0, %v, %x;
        st.global.u32 [%at], %w;""",
    "a guarded move": LOAD + "@%chosen mov.u32 %w, %v;\nst.global.u32 [%at], %w;",
    "a guarded move over it": LOAD + "@!%chosen mov.u32 %v, 0;\nst.global.u32 [%at], %v;",
    "a guarded store": LOAD + "@%chosen st.global.u32 [%at], %v;",
    "a branch around the store": LOAD + "@!%chosen bra SKIP;\nst.global.u32 [%at], %v;\nSKIP:",
    "a branch around a choice": LOAD + """
        @!%chosen bra SKIP;
        selp.u32 %w, %v, 0, %chosen;
        st.global.u32 [%at], %w;
        SKIP:""",
    "a part of a vector": """
        and.b32 %slot, %slot, -8;
        ld.shared.v2.u32 {%v, %x}, [%slot];
        selp.u32 %w, %v, 0, %chosen;
        @%written add.u32 %w, %w, %x;
        st.global.u32 [%at], %w;""",
    "a packed value": LOAD + """
        mov.b64 %p, {%v, %t};
        mov.b64 {%x, %y}, %p;
        selp.u32 %w, %x, 0, %chosen;
        st.global.u32 [%at], %w;""",
    "a float": "ld.shared.f32 %f, [%slot];\n" + """
        fma.rn.f32 %f, %f, %f, 0f3F800000;
        cvt.rzi.u32.f32 %x, %f;
        selp.u32 %w, %x, 0, %chosen;
        st.global.u32 [%at], %w;""",
    "local memory": "ld.local.u32 %v, [own];\nselp.u32 %w, %v, 0, %chosen;\nst.global.u32 [%at], %w;",
    "a loop": """
        mov.u32 %sum, 0;
        mov.u32 %i, 0;
        mov.u32 %slot, tile;
        NEXT:
        ld.shared.u32 %v, [%slot];
        add.u32 %x, %sum, %v;
        setp.lt.u32 %q, %i, %limit;
        selp.u32 %sum, %x, %sum, %q;
        add.u32 %slot, %slot, 4;
        add.u32 %i, %i, 1;
        setp.lt.u32 %more, %i, 20;
        @%more bra NEXT;
        st.global.u32 [%at], %sum;""",
    "a load before a loop": LOAD + """
        selp.u32 %x, 3, 0, %chosen;
        mov.u32 %i, 0;
        bra TEST;
        NEXT:
        add.u32 %w, %w, %v;
        add.u32 %i, %i, 1;
        TEST:
        setp.lt.u32 %more, %i, %x;
        @%more bra NEXT;
        st.global.u32 [%at], %w;""",
    "a shuffle": LOAD + "shfl.sync.idx.b32 %w|%q, %v, %wrapped, 31, -1;\nst.global.u32 [%at], %w;",
    "a shuffle from constant lanes": LOAD + """
        add.u32 %y, %limit, -8;
        shfl.sync.down.b32 %w, %v, 7, 31, -1;
        setp.le.u32 %q, %t, %y;
        @%q st.global.u32 [%at], %w;""",
    "a branch around a sum of a shuffle": LOAD + """
        add.u32 %y, %limit, -8;
        shfl.sync.down.b32 %w, %v, 7, 31, -1;
        mov.b32 %f, %w;
        add.f32 %f, %f, 0f3F800000;
        setp.gt.u32 %q, %t, %y;
        @%q bra SKIP;
        st.global.f32 [%at], %f;
        SKIP:""",
    "a shuffle by the value": LOAD + """
        selp.u32 %x, %v, 0, %chosen;
        shfl.sync.idx.b32 %w, %t, %x, 31, -1;
        st.global.u32 [%at], %w;""",
    "an address": LOAD + """
        selp.u32 %x, %v, 0, %chosen;
        mul.wide.u32 %p, %x, 0;
        add.u64 %p, %p, %at;
        st.global.u32 [%p], 1;""",
    "a branch": LOAD + """
        selp.u32 %x, %v, 0, %chosen;
        setp.eq.u32 %q, %x, 77;
        @%q bra SKIP;
        st.global.u32 [%at], 1;
        SKIP:""",
    "a guard": LOAD + """
        selp.u32 %x, %v, 0, %chosen;
        setp.eq.u32 %q, %x, 77;
        @%q st.global.u32 [%at], 1;""",
    "a guard of a move": LOAD + """
        selp.u32 %x, %v, 0, %chosen;
        setp.eq.u32 %q, %x, 77;
        @%q mov.u32 %w, 1;""",
    "a condition": LOAD + """
        selp.u32 %x, %v, 0, %chosen;
        setp.eq.u32 %q, %x, 77;
        selp.u32 %w, 1, 2, %q;
        st.global.u32 [%at], %w;""",
    "and, decided": LOAD + """
        setp.ne.u32 %q, %v, 77;
        and.pred %r, %q, %chosen;
        @%r st.global.u32 [%at], 1;""",
    "and, decided by its first operand": LOAD + """
        setp.ne.u32 %q, %v, 77;
        and.pred %r, %chosen, %q;
        selp.u32 %w, 1, 0, %r;
        st.global.u32 [%at], %w;""",
    "or, decided": LOAD + """
        setp.ne.u32 %q, %v, 77;
        or.pred %r, !%chosen, %q;
        @%r st.global.u32 [%at], 1;""",
    "an atomic": LOAD + "selp.u32 %x, %v, 0, %chosen;\nred.global.add.u32 [%out], %x;",
    "a vote": LOAD + """
        selp.u32 %x, %v, 0, %chosen;
        setp.eq.u32 %q, %x, 77;
        vote.sync.any.pred %r, %q, -1;""",
    "a division": LOAD + "selp.u32 %x, %v, 1, %chosen;\ndiv.u32 %w, %t, %x;\nst.global.u32 [%at], %w;",
    "a carry": LOAD + """
        selp.u32 %x, %v, 0, %chosen;
        add.cc.u32 %w, %x, 1;
        addc.u32 %y, 0, 0;
        st.global.u32 [%at], %y;""",
}  # fmt: skip


@pytest.mark.parametrize("body", USES.values(), ids=USES)
def test_a_load_of_unwritten_memory_is_reported_if_the_value_is_used(body):
    """Eight threads have written; a value is used by threads, or of threads, below the limit."""
    ptx = KERNEL.replace("BODY", body)
    line = next(number for number, text in enumerate(ptx.splitlines(), 1) if re.search(r"ld\.(shared|local)", text))
    for limit, found in ((WRITTEN, []), (WRITTEN + 1, [("uninitialised", line)])):
        execution = emulator.run(ptx, grid=1, block=32, args=[np.zeros(64, np.uint32), np.uint32(limit)], sanitize=True)
        assert [(finding.kind, finding.line) for finding in execution.findings] == found, limit
        for finding in execution.findings:
            place = "byte 0 of local" if "local" in finding.message else "byte 32 of shared"
            assert f"{place} memory, which was never written" in finding.message


OF_REGISTERS = {name: body for name, body in USES.items() if body.startswith(LOAD) and name != "a packed value"}
OF_REGISTERS["a choice in a loop"] = (
    LOAD
    + """
    mov.u32 %i, 0;
    NEXT:
    setp.gt.u32 %q, %i, %v;
    and.pred %q, %q, %written;
    selp.u32 %v, %i, %v, %q;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, 12;
    @%more bra NEXT;
    @%chosen st.global.u32 [%at], %v;"""
)
OF_REGISTERS["a sum in a loop"] = (
    LOAD
    + """
    mov.u32 %i, 0;
    NEXT:
    add.u32 %v, %v, %i;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, 12;
    @%more bra NEXT;
    selp.u32 %w, %v, 0, %chosen;
    st.global.u32 [%at], %w;"""
)


@pytest.mark.parametrize("body", OF_REGISTERS.values(), ids=OF_REGISTERS)
def test_a_register_that_was_not_written_is_reported_if_the_value_is_used(body):
    """Eight threads have written; a value is used by threads, or of threads, below the limit."""
    ptx = KERNEL.replace("BODY", body.replace(LOAD, "@%written mov.u32 %v, 1;\n"))
    for limit, found in ((WRITTEN, []), (WRITTEN + 1, ["uninitialised"])):
        execution = emulator.run(ptx, grid=1, block=32, args=[np.zeros(64, np.uint32), np.uint32(limit)], sanitize=True)
        assert [finding.kind for finding in execution.findings] == found, limit
        for finding in execution.findings:
            assert "by thread 8 of CTA 0 reads '%v' before it was written" in finding.message


STORED = {
    "one value": "st.shared.u32 [%slot], %v;\nbar.sync 0;\nld.shared.u32 %x, [%slot];",
    "the second part of a vector": """
        mov.u32 %slot, tile;
        mad.lo.u32 %slot, %t, 8, %slot;
        st.shared.v2.u32 [%slot], {%t, %v};
        bar.sync 0;
        ld.shared.u32 %x, [%slot+4];""",
    "a computed value": "add.u32 %x, %v, 1;\nst.shared.u32 [%slot], %x;\nld.shared.u32 %x, [%slot];",
    "a value that is stored again": """
        st.shared.u32 [%slot], %v;
        ld.shared.u32 %y, [%slot];
        st.local.u32 [own], %y;
        ld.local.u32 %x, [own];""",
    "local memory": "st.local.u32 [own], %v;\nld.local.u32 %x, [own];",
    "one byte": """
        cvt.u16.u32 %b, %v;
        st.shared.v4.u8 [%slot], {%b, 1, 1, 1};
        ld.shared.u8 %c, [%slot];
        cvt.u32.u16 %x, %c;""",
}  # fmt: skip


@pytest.mark.parametrize("body", STORED.values(), ids=STORED)
def test_a_stored_value_of_an_unwritten_register_is_reported_if_it_is_used(body):
    """Eight threads have written it; a value is used by threads below the limit."""
    chosen = "selp.u32 %w, %x, 0, %chosen;\nst.global.u32 [%at], %w;"
    ptx = KERNEL.replace("BODY", f"@%written mov.u32 %v, 1;\n{body}\n{chosen}").replace(
        ".reg .f32 %f;", ".reg .f32 %f;\n    .reg .u16 %b, %c;"
    )
    for limit, found in ((WRITTEN, []), (WRITTEN + 1, ["uninitialised"])):
        execution = emulator.run(ptx, grid=1, block=32, args=[np.zeros(64, np.uint32), np.uint32(limit)], sanitize=True)
        assert [finding.kind for finding in execution.findings] == found, limit
        for finding in execution.findings:
            assert "which was never written, or only with a value that was never written" in finding.message


TWICE = """.func (.param .u32 result) twice(.param .u32 a)
{
    .reg .u32 %a;
    ld.param.u32 %a, [a];
    add.u32 %a, %a, %a;
    st.param.u32 [result], %a;
    ret;
}
"""
AT_ONCE = {
    "the first element of a vector": ("st.global.v2.u32 [%p], {%v, %t};", True),
    "another, which may be padding": ("st.global.v2.u32 [%p], {%t, %v};", False),
    "an argument": ("{ .param .u32 a, result; st.param.u32 [a], %v; call (result), twice, (a); }", True),
    "a computation with a guard": ("@%chosen add.u32 %x, %v, 1;", True),
    "the address of its own store": ("st.local.u32 [%v], %v;", True),
    "a computation that nothing uses": ("add.u32 %x, %v, 1;", False),
}


@pytest.mark.parametrize(("use", "reported"), AT_ONCE.values(), ids=AT_ONCE)
def test_some_uses_of_an_unwritten_register_are_reported_although_nothing_uses_the_result(use, reported):
    """A compiler does not move these before their condition."""
    body = f"@%written mov.u32 %v, own;\nmul.wide.u32 %p, %t, 8;\nadd.u64 %p, %p, %out;\n{use}"
    ptx = KERNEL.replace(".visible", f"{TWICE}.visible", 1).replace("BODY", body)
    execution = emulator.run(ptx, grid=1, block=32, args=[np.zeros(64, np.uint32), np.uint32(32)], sanitize=True)
    assert ("uninitialised" in {finding.kind for finding in execution.findings}) == reported


@pytest.mark.parametrize(
    ("write", "end"),
    [
        ("", "was never written, such as that of %v: line {} reads it before any line writes it."),
        ("@%written mov.u32 %v, 1;", "was never written."),
    ],
)
def test_a_register_that_no_line_writes_before_it_is_stored_is_named(write, end):
    body = f"{write}\nst.local.u32 [own], %v;\nld.local.u32 %x, [own];\nst.global.u32 [%at], %x;"
    ptx = KERNEL.replace("BODY", body)
    line = ptx.splitlines().index("st.local.u32 [own], %v;") + 1
    execution = emulator.run(ptx, grid=1, block=32, args=[np.zeros(64, np.uint32), np.uint32(32)], sanitize=True)
    assert execution.findings[0].message.endswith(end.format(line))


@pytest.mark.parametrize("between", ["", "mov.u32 %y, %v;\nselp.u32 %v, %y, %v, %written;\n"])
def test_a_copy_of_unwritten_memory_is_reported_if_it_is_used(between):
    """As padding of a structure is copied: the copy is unwritten too."""
    body = f"{LOAD}{between}st.local.u32 [own+8], %v;\nld.local.u32 %x, [own+8];\n"
    ptx = KERNEL.replace("BODY", f"{body}selp.u32 %w, %x, 0, %chosen;\nst.global.u32 [%at], %w;")
    for limit, found in ((WRITTEN, []), (WRITTEN + 1, ["ld.local.u32 by thread 8 of CTA 0 reads byte 8 of local"])):
        execution = emulator.run(ptx, grid=1, block=32, args=[np.zeros(64, np.uint32), np.uint32(limit)], sanitize=True)
        assert len(execution.findings) == len(found), limit
        assert all(text in finding.message for text, finding in zip(found, execution.findings, strict=True))


def test_in_a_cluster_registers_that_were_not_written_are_reported_if_they_are_used():
    body = """
        @%written mov.u32 %v, 1;
        setp.ne.u32 %q, %v, 77;
        and.pred %r, %q, %chosen;
        @%r st.global.u32 [%at], 1;
        @%written st.shared::cluster.u32 [%slot], 1;"""
    ptx = KERNEL.replace("BODY", body).replace("sm_80", "sm_90")
    for limit, found in ((WRITTEN, []), (WRITTEN + 1, ["uninitialised"])):
        args = [np.zeros(64, np.uint32), np.uint32(limit)]
        execution = emulator.run(ptx, grid=2, block=32, args=args, cluster=2, arch="sm_90", sanitize=True)
        kinds = {finding.kind for finding in execution.findings if finding.kind != "race"}
        assert sorted(kinds) == found, limit


def test_in_code_for_a_debugger_each_read_of_a_register_is_reported_at_once_but_not_a_copy():
    """It copies variables to memory by generic addresses and passes them to functions, whether they have a value or
    not, and computes nothing before its condition."""
    head = KERNEL.replace(".target sm_80", ".target sm_80, debug")
    for read, lines in (("mov.u32 %x, %v;", 0), ("add.u32 %x, %v, 1;", 1)):
        body = f"@%written mov.u32 %v, 1;\n{read}\nst.global.u32 [%at], %x;"
        args = [np.zeros(64, np.uint32), np.uint32(32)]
        execution = emulator.run(head.replace("BODY", body), grid=1, block=32, args=args, sanitize=True)
        assert len(execution.findings) == lines, read


def test_what_is_copied_may_be_compared_too():
    body = f"""{LOAD}
        st.local.u32 [own+8], %v;
        setp.ne.u32 %q, %v, 77;
        and.pred %r, %q, %chosen;
        selp.u32 %w, 1, 0, %r;
        st.global.u32 [%at], %w;"""
    out = np.zeros(64, np.uint32)
    execution = emulator.run(
        KERNEL.replace("BODY", body), grid=1, block=32, args=[out, np.uint32(WRITTEN)], sanitize=True
    )
    assert execution.findings == ()


def test_other_bytes_of_a_word_keep_their_values():
    body = """
        @%written mov.u32 %v, 1;
        cvt.u16.u32 %b, %v;
        st.shared.v4.u8 [%slot], {%b, 1, 2, 3};
        ld.shared.u8 %c, [%slot+2];
        cvt.u32.u16 %x, %c;
        st.global.u32 [%at], %x;"""
    ptx = KERNEL.replace("BODY", body).replace(".reg .f32 %f;", ".reg .f32 %f;\n    .reg .u16 %b, %c;")
    out = np.zeros(64, np.uint32)
    execution = emulator.run(ptx, grid=1, block=32, args=[out, np.uint32(32)], sanitize=True)
    assert execution.findings == ()
    assert (out[:32] == 2).all()
