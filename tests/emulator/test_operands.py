"""Operands of other types than the instruction's: which are accepted, their values, and the messages for the others."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.parse import parse
from ptxbench.emulator.translate import translate
from ptxbench.errors import PtxSyntaxError, UnsupportedInstruction
from ptxbench.toolchain.ptxas import RefusedError
from tests.emulator.oracle import interpret
from tests.emulator.spelled import complaints, refusals
from tests.emulator.test_ptxas import assemble

HEADER = ".version 8.0\n.target sm_80\n.address_size 64\n"
REGISTERS = """
    .reg .b16 %h<4>;
    .reg .b32 %r<4>;
    .reg .b64 %d<4>, %from, %to;
    .reg .f32 %f<4>;
    .reg .f64 %e<4>;
    .reg .s64 %s<4>;
    .reg .pred %p<4>;"""

MINUS, FLOAT, DOUBLE = 0xFFFFFFFF_FFFFFF85, 0x3FC00000, 0x400C0000_3FC00000
"""-123 as an s64; 1.5f; 3.5 with low 32 bits that are 1.5f."""
WIDER = [  # from the 64 bits of the source into the 64 bits of the result
    ("ld.global.f32 %d0, [%from];",                             DOUBLE, FLOAT),
    ("ld.global.b32 %e0, [%from]; mov.b64 %d0, %e0;",           DOUBLE, FLOAT),
    ("ld.global.s8 %d0, [%from];",                              0x85,   MINUS),
    ("ld.global.s16 %s0, [%from]; mov.b64 %d0, %s0;",           0xFF85, MINUS),
    ("ld.global.u8 %d0, [%from];",                              MINUS,  0x85),
    ("ld.global.b8 %e0, [%from]; mov.b64 %d0, %e0;",            MINUS,  0x85),
    ("ld.global.v2.f32 {%d0, %d1}, [%from];",                   DOUBLE, FLOAT),
    ("ld.global.v2.s16 {%d1, %d0}, [%from];",                   0xFF85_0000, MINUS),
    ("ld.global.b64 %d1, [%from]; st.global.f32 [%to], %d1; ld.global.b64 %d0, [%to];", DOUBLE, FLOAT),
    ("ld.global.b64 %e1, [%from]; st.global.b8 [%to], %e1; ld.global.b64 %d0, [%to];",  DOUBLE | 0x77, 0x77),
    ("ld.global.b64 %d1, [%from]; cvt.s8.s32 %d0, %d1;",        MINUS,  MINUS),
    ("ld.global.b64 %d1, [%from]; cvt.u8.s32 %d0, %d1;",        MINUS,  0x85),
    ("ld.global.b64 %d1, [%from]; cvt.s64.s8 %d0, %d1;",        0x1285, MINUS),
    ("ld.global.b64 %d1, [%from]; cvt.f64.f32 %d0, %d1;",       DOUBLE, 0x3FF80000_00000000),
    ("ld.global.b64 %d1, [%from]; cvt.rn.f32.f64 %d0, %d1;",    0x3FF80000_00000000, FLOAT),
    ("ld.global.b64 %d1, [%from]; cvt.rn.f16.f32 %d0, %d1;",    DOUBLE, 0x3E00),
    ("ld.global.b64 %d1, [%from]; cvt.f32.f16 %d0, %d1;",       0xABCD_3E00, FLOAT),
    ("ld.global.b64 %d1, [%from]; cvt.rzi.s16.f32 %d0, %d1;",   0xC2F60000, MINUS),
]  # fmt: skip


def widened():
    body = "\n".join(
        f"    {text.replace('[%from]', f'[%from + {8 * i}]').replace('[%to]', f'[%to + {8 * i}]')}\n"
        f"    st.global.b64 [%to + {8 * i}], %d0;"
        for i, (text, _, _) in enumerate(WIDER)
    )
    return f"""{HEADER}.visible .entry widened(.param .u64 sources, .param .u64 results)
{{{REGISTERS}
    ld.param.u64 %from, [sources];
    ld.param.u64 %to, [results];
{body}
    ret;
}}
"""


@pytest.mark.parametrize("execute", [emulator.run, interpret], ids=["emulator", "oracle"])
def test_wider_destinations_are_extended_and_wider_sources_use_their_low_bits(execute):
    sources = np.array([source for _, source, _ in WIDER], np.uint64)
    results = np.zeros_like(sources)
    execute(widened(), "widened", grid=(1, 1, 1), block=(1, 1, 1), args=[sources, results])
    assert [hex(pattern) for pattern in results.tolist()] == [hex(expected) for _, _, expected in WIDER]


def test_ptxas_accepts_the_wider_registers():
    assemble(widened(), "sm_80")


def test_a_register_hides_the_predefined_one_of_its_name():
    text = f"{HEADER}.visible .entry hides()\n{{ .reg .u32 %tid; mov.u32 %tid, %tid.x; ret; }}"
    with pytest.raises(UnsupportedInstruction, match=r"'mov\.u32' does not take these operands; expected d, a$"):
        emulator.run(text, grid=1, block=1, args=[])


REFUSED = [
    ("add.f32 %r0, %f0, %f1",                "'%r0' is .u32, but 'add.f32' takes .f32 here."),
    ("add.u32 %f0, %r0, %r1",                "'%f0' is .f32, but 'add.u32' takes .u32 here."),
    ("add.u32 %d0, %r0, %r1",                "'%d0' is .b64, but 'add.u32' takes .u32 here."),
    ("add.f32 %f0, %f1, 1",                  "'add.f32' takes .f32 here, not a whole number."),
    ("add.u32 %r0, %r1, 1.0",                "'add.u32' takes .u32 here, not a floating-point number."),
    ("ld.global.f32 %e0, [%from]",           "'%e0' is .f64, but 'ld.global.f32' takes .f32 or wider here."),
    ("ld.global.u32 %f0, [%from]",           "'%f0' is .f32, but 'ld.global.u32' takes .u32 or wider here."),
    ("ld.global.u32 _, [%from]",             "'ld.global.u32' needs a register for its result, not '_'."),
    ("cvt.rn.f16.f32 %f0, %f1",              "'%f0' is .f32, but 'cvt.rn.f16.f32' takes .f16 or .b16 here."),
    ("mov.u64 %d0, %tid.x",                  "'%tid.x' has 32 bits, but 'mov.u64' takes .u64 here."),
    ("add.u32 %r0, %tid.x, 1",               "'add.u32' cannot read '%tid.x'; mov it into a register."),
    ("mov.b64 %d0, {%h0, %h1, %r0}",         "the registers of a vector must have one size."),
    ("mov.b64 %d0, {%h0, %h1}",              "'%h0' is .b16, but 'mov.b64' takes .b32 here."),
    ("ld.global.v2.u32 {%r0}, [%from]",      "'ld.global.v2.u32' takes a vector of 2, not of 1."),
    ("selp.u32 %r0, 1, 0, %r1",              "'%r1' is .u32, but 'selp.u32' takes a predicate here."),
    ("ld.global.u32 %r0, [%r1]",             "the address '%r1' has 32 bits, but .address_size is 64."),
    ("st.shared.u32 [16], %r1",              "only an address in local memory can be a number."),
    ("cp.async.ca.shared.global [16], [%from], 16",                 "only an address in local memory can be a number."),
    ("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [16]",        "only an address in local memory can be a number."),
    ("cp.async.bulk.prefetch.L2.global [16], 16",                   "only an address in local memory can be a number."),
    ("atom.add.u32 %r0, [%r1], 1",           "the address '%r1' has 32 bits, but .address_size is 64."),
    ("add.u32 %r0, !%r1, 1",                 "'!' needs a predicate."),
    ("st.global.u32 [%from], shared_word",   "'st.global.u32' takes a register here; move the address of"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), REFUSED, ids=[line for line, _ in REFUSED])
def test_an_operand_of_another_type_is_refused_with_what_is_wanted(line, message):
    text = f"""{HEADER}.visible .entry refused()
{{{REGISTERS.replace(".b32", ".u32")}
    .shared .u32 shared_word;
    {line};
    ret;
}}
"""
    with pytest.raises(PtxSyntaxError) as caught:
        emulator.run(text, grid=1, block=1, args=[])
    assert message in str(caught.value)
    assert "line 14: " in str(caught.value)


DISCARDED = [
    ("atom.global.add.u32 _, [%b64_0], 1;",                        True),
    ("setp.eq.u32 _|%pred_0, %u32_0, 1;",                          True),
    ("setp.eq.u32 %pred_0|_, %u32_0, 1;",                          True),
    ("shfl.sync.idx.b32 %b32_0|_, %b32_1, 0, 31, -1;",             True),
    ("shfl.sync.idx.b32 _|%pred_0, %b32_1, 0, 31, -1;",            False),
    ("ld.global.v2.u32 {_, %u32_0}, [%b64_0];",                    True),
    ("ld.global.v2.u32 {_, _}, [%b64_0];",                         False),
    ("mov.b64 {_, %b32_0}, %b64_0;",                               True),
    ("elect.sync _|%pred_0, -1;",                                  True),
    ("mov.u32 _, %u32_0;",                                         False),
    ("ld.global.u32 _, [%b64_0];",                                 False),
    ("st.global.v2.u32 [%b64_0], {%u32_0, _};",                    False),
]  # fmt: skip


def test_a_result_is_discarded_where_ptxas_discards_it():
    lines = [line for line, _ in DISCARDED]
    taken = [good for _, good in DISCARDED]
    assert [not complaint for complaint in complaints(lines, "sm_100a")] == taken
    assert [not refusal for refusal in refusals(lines, "sm_100a")] == taken


GENERIC = f"""{HEADER}.global .align 16 .u32 far[4];
.visible .entry by_name(.param .u64 results)
{{{REGISTERS}
    .shared .align 16 .u32 unused[4], near[4];
    .local .align 16 .u32 own[4];
    .shared .align 8 .b64 barrier;
    ld.param.u64 %to, [results];
    st.shared.u32 [near+8], 5;
    st.u32 [own+4], 7;
    st.u32 [far+4], 9;
    ld.u32 %r0, [near+8];
    st.global.u32 [%to], %r0;
    ld.local.u32 %r0, [own+4];
    st.global.u32 [%to+4], %r0;
    ld.global.u32 %r0, [far+4];
    st.global.u32 [%to+8], %r0;
    atom.add.u32 %r0, [near+8], 1;
    ld.shared.u32 %r0, [near+8];
    st.global.u32 [%to+12], %r0;
    mbarrier.init.b64 [barrier], 1;
    mbarrier.arrive.shared.b64 %d0, [barrier];
    mbarrier.test_wait.b64 %p0, [barrier], %d0;
    selp.u32 %r0, 1, 0, %p0;
    st.global.u32 [%to+16], %r0;
    ret;
}}
"""


def test_a_generic_access_of_a_variable_by_name_reaches_it():
    assemble(GENERIC, "sm_80")
    results = np.zeros(5, np.uint32)
    emulator.run(GENERIC, grid=1, block=1, args=[results])
    assert results.tolist() == [5, 7, 9, 6, 1]


SPACES = ["ld.global.b32 %r0, [near]", "ld.shared.b32 %r0, [far]", "st.local.b32 [near], %r0", "ld.b32 %r0, [given]",
          "ld.global.b32 %r0, [given]", "atom.global.add.u32 %r0, [near], 1", "red.shared.add.u32 [far], 1",
          "ld.param.b32 %r0, [near]", "ld.const.b32 %r0, [far]", "ld.b32 %r0, [fixed]"]  # fmt: skip


@pytest.mark.parametrize("line", SPACES)
def test_a_variable_of_another_state_space_is_refused(line):
    text = f"""{HEADER}.global .align 16 .u32 far[4]; .const .u32 fixed;
.visible .entry elsewhere(.param .u32 given)
{{{REGISTERS}
    .shared .align 16 .u32 near[4];
    {line};
    ret;
}}
"""
    with pytest.raises(PtxSyntaxError, match=r"line 15: .*variable, which .* does not access"):
        emulator.run(text, grid=1, block=1, args=[np.uint32(1)])
    with pytest.raises(RefusedError):
        assemble(text, "sm_80")


ELEMENTS = (
    HEADER
    + """
.global .u32 g[8] = {10, 11, 12, 13, 14, 15, 16, 17};
.const .u16 c[8] = {20, 21, 22, 23, 24, 25, 26, 27};
.func (.reg .u32 r) third(.param .b32 q[4]) { ld.param.u32 r, q[2]; ret; }
.visible .entry elements(.param .u64 out, .param .u32 p[4])
{
    .reg .b32 %i, %four, %v<16>;
    .reg .b16 %h, %half;
    .reg .b64 %out, %at;
    .shared .u32 s[41];
    .local .u32 l[8];
    .param .b32 q[4];
    ld.param.u64   %out, [out];
    mov.u32        %i, %tid.x;
    and.b32        %four, %i, 3;
    cvt.u16.u32    %half, %four;
    st.shared.u32  s[%i + 1], %i;
    st.local.u32   l[%four], %i;
    st.local.v2.u32 l[6], {70, 71};
    bar.sync       0;
    ld.global.u32  %v0, g[7];
    ld.global.u32  %v1, g[%four];
    ld.global.u32  %v2, g[%half + 2];
    ldu.global.u32 %v3, g[1 + 1];
    ld.const.u16   %h, c[%four + 1];
    cvt.u32.u16    %v4, %h;
    ld.shared.u32  %v5, s[%i + 1];
    ld.u32         %v6, s[%i + 1];
    ld.local.u32   %v7, l[%four];
    ld.u32         %v8, l[7];
    ld.u32         %v9, l[%four];
    ld.param.u32   %v10, p[3];
    ld.param.u32   %v11, p[%four];
    st.param.u32   q[2], %i;
    call (%v12), third, (q);
    mad.wide.u32   %at, %i, 52, %out;
STORES
    ret;
}
""".replace("STORES", "\n".join(f"    st.global.u32 [%at + {4 * k}], %v{k};" for k in range(13)))
)


@pytest.mark.parametrize("sanitize", [False, True], ids=["plain", "sanitized"])
def test_a_load_or_store_may_name_an_element_of_an_array(sanitize):
    out = np.zeros((40, 13), np.uint32)
    p = np.void(np.array([30, 31, 32, 33], np.uint32).tobytes())
    execution = emulator.run(ELEMENTS, grid=1, block=40, args=[out, p], sanitize=sanitize)
    for i, row in enumerate(out.tolist()):
        four = i & 3
        assert row == [17, 10 + four, 12 + four, 12, 21 + four, i, i, i, 71, i, 33, 30 + four, i]
    assert not execution.findings


def test_ptxas_accepts_elements_as_addresses():
    assemble(ELEMENTS, "sm_80")


PAST_ELEMENTS = (
    HEADER
    + """
.global .u32 g[8];
.global .u32 after[8];
.visible .entry past(.param .u64 out)
{
    .reg .b32 %i, %v;
    mov.u32       %i, %tid.x;
    ld.global.u32 %v, g[%i];
    st.global.u32 after[%i], %v;
    ret;
}
"""
)


def test_an_element_past_its_array_is_found():
    out = np.zeros(1, np.uint32)
    found = emulator.run(PAST_ELEMENTS, grid=1, block=9, args=[out], sanitize=True).findings
    assert [finding.line for finding in found] == [11, 12]


@pytest.mark.parametrize(
    "line",
    [
        "atom.global.add.u32 %r0, g[1], 2;",
        "red.global.add.u32 g[1], 2;",
        "prefetch.global.L1 g[1];",
        "ld.global.u32 %r0, g;",
        "st.global.u64 [%d0], g[1];",
    ],
)
def test_other_operands_are_no_elements(line):
    text = f"{HEADER}.global .u32 g[4];\n.visible .entry k()\n{{{REGISTERS}\n    {line}\n    ret;\n}}\n"
    with pytest.raises(RefusedError):
        assemble(text, "sm_80")
    with pytest.raises((PtxSyntaxError, UnsupportedInstruction)):
        emulator.run(text, grid=1, block=1, args=[])


def test_a_predicate_is_not_an_address():
    text = """.version 8.0
.target sm_90
.address_size 64
.visible .entry k()
{
    .reg .pred %p;
    setp.eq.u32 %p, 1, 1;
    red.shared.add.u32 [%p], 1;
    ret;
}
"""
    parsed = parse(text)
    with pytest.raises(PtxSyntaxError, match=r"^line 8: expected an address, found the predicate '%p'\.$"):
        translate(parsed, parsed.functions["k"])
