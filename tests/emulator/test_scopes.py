"""The meaning of a name: blocks, families, vector registers, elements of arrays; and the names that ptxas accepts."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.parse import choose, parse
from ptxbench.emulator.translate import translate
from ptxbench.errors import PtxSyntaxError, UnsupportedInstruction
from ptxbench.toolchain import ptxas
from tests.emulator.harness import HEADER, program
from tests.emulator.test_ptxas import assemble


def stored(text, count=4):
    """The values that the kernel stores to `out`, an array of u32."""
    out = np.zeros(count, np.uint32)
    emulator.run(text, grid=1, block=1, args=[out])
    return out.tolist()


LABELS = program("""
.visible .entry labels_of_blocks(.param .u64 out)
{
    .reg .u64 %out;
    .reg .u32 %n;
    .reg .pred %more;
    ld.param.u64 %out, [out];
    mov.u32 %n, 0;
LOOP:
    {
        .reg .u32 %k;
        mov.u32 %k, 0;
    LOOP:
        add.u32 %k, %k, 1;
        add.u32 %n, %n, 1;
        setp.lt.u32 %more, %k, 3;
        @%more bra LOOP;
    }
    setp.lt.u32 %more, %n, 9;
    @%more bra LOOP;
    st.global.u32 [%out], %n;
    {
        bra NEXT;               // the block's own label, though it comes later
        st.global.u32 [%out + 4], 1;
    NEXT:
        st.global.u32 [%out + 8], 2;
        bra DONE;               // a label around the block
    }
NEXT:
    st.global.u32 [%out + 4], 3;
DONE:
    ret;
}
""")


def test_a_label_belongs_to_its_block():
    assert stored(LABELS) == [9, 0, 2, 0]


VARIABLES = program("""
.global .u32 other = 30;
.visible .entry variables_of_blocks(.param .u64 out)
{
    .reg .u64 %out;
    .reg .u32 %a, %b;
    .shared .u32 word;
    .shared .u32 other;         // hides that of the module
    ld.param.u64 %out, [out];
    st.shared.u32 [word], 1;
    st.shared.u32 [other], 2;
    {
        .shared .u64 word[4];
        .global .u32 kept = 40;
        st.shared.u64 [word], 0;
        st.shared.u64 [word + 24], -1;
        ld.global.u32 %a, [kept];
        st.global.u32 [%out + 8], %a;
    }
    {
        .global .u32 kept = 50;
        ld.global.u32 %a, [kept];
        st.global.u32 [%out + 12], %a;
    }
    ld.shared.u32 %a, [word];
    ld.shared.u32 %b, [other];
    st.global.v2.u32 [%out], {%a, %b};
    ret;
}
""")


def test_a_variable_belongs_to_its_block():
    assert stored(VARIABLES) == [1, 2, 40, 50]


VECTORS = program("""
.visible .entry vector_registers(.param .u64 out)
{
    .reg .u64 %out;
    .reg .v4 .u32 %v, %w<2>;
    .reg .v2 .b32 %half;
    .reg .b64 %both;
    .reg .u32 %r;
    ld.param.u64 %out, [out];
    mov.v4.u32 %v, {1, 2, 3, 4};
    add.u32 %v.x, %v.y, %v.w;
    mov.v4.u32 %w1, %v;
    st.global.v4.u32 [%out], %w1;
    mov.v4.u32 %v, %ntid;
    mov.b32 %half.r, 7;
    mov.b32 %half.g, %v.x;
    mov.b64 %both, %half;
    st.global.u64 [%out + 16], %both;
    st.global.b32 [%out + 24], {%half.x};
    ld.global.b32 {%r}, [%out];
    mov.b32 {%r}, %r;
    st.global.u32 [%out + 28], %r + 1;
    ret;
}
""")


def test_vector_registers_and_vectors_of_one_element():
    assert stored(VECTORS, 8) == [6, 2, 3, 4, 7, 1, 7, 7]


ELEMENTS = program("""
.global .align 8 .u32 words[2][4] = {{10, 11}, {12, 13, 14}};
.visible .entry elements_of_arrays(.param .u64 out)
{
    .reg .u64 %out, %at;
    .reg .u32 %i, %value;
    ld.param.u64 %out, [out];
    mov.u64 %at, words[1];
    ld.global.u32 %value, [%at];
    st.global.u32 [%out], %value;
    mov.u32 %i, 4;
    mov.u64 %at, words[%i];
    ld.global.u32 %value, [%at];
    st.global.u32 [%out + 4], %value;
    mov.u64 %at, words[%i + 2];
    ld.global.u32 %value, [%at];
    st.global.u32 [%out + 8], %value;
    mov.u64 %at, words + 8;
    ld.global.u32 %value, [%at];    // behind the two values of the first row
    st.global.u32 [%out + 12], %value;
    ret;
}
""")


def test_the_address_of_an_element():
    assert stored(ELEMENTS) == [11, 12, 14, 0]


SHARED_ELEMENTS = program("""
.global .u32 counts[4];
.visible .entry element_that_ctas_share(.param .u64 out)
{
    .reg .u64 %out, %at;
    .reg .u32 %i, %value;
    ld.param.u64 %out, [out];
    mov.u32 %i, 1;
    mov.u64 %at, counts[%i];
    ld.global.u32 %value, [%at];
    add.u32 %value, %value, 1;
    st.global.u32 [%at], %value;
    st.global.u32 [%out], %value;
    ret;
}
""")


def test_ctas_that_share_an_element_run_by_rank():
    out = np.zeros(1, np.uint32)
    execution = emulator.run(SHARED_ELEMENTS, grid=500, block=1, args=[out], threads=2)
    assert out[0] == 500
    assert execution.order == "ascending"


ADDRESS_OF_PARAMETER = program("""
.visible .entry element_of_a_parameter(.param .u64 out, .param .align 4 .b8 bytes[16])
{
    .reg .u64 %out, %at;
    .reg .u32 %i, %value;
    ld.param.u64 %out, [out];
    mov.u32 %i, 8;
    mov.b64 %at, bytes[%i];
    ld.param.u32 %value, [%at];
    st.global.u32 [%out], %value;
    ret;
}
""")


def test_the_address_of_an_element_of_a_parameter():
    out = np.zeros(1, np.uint32)
    emulator.run(ADDRESS_OF_PARAMETER, grid=1, block=1, args=[out, np.void(np.arange(4, dtype=np.uint32).tobytes())])
    assert out[0] == 2


FAMILIES = program("""
.visible .entry families_of_blocks(.param .u64 out)
{
    .reg .u64 %out;
    .reg .u32 %r<3>;
    ld.param.u64 %out, [out];
    mov.u32 %r1, 1;
    mov.u32 %r2, 2;
    {
        .reg .u32 %r<2>;
        mov.u32 %r1, 3;
        mov.u32 %r2, 4;         // that of the function: the block has two
        st.global.u32 [%out + 8], %r1;
    }
    {
        .reg .u32 %r<2>;
        mov.u32 %r1, 5;
        {
            .reg .u32 %r<2>;
            mov.u32 %r1, 6;
        }
        st.global.u32 [%out + 12], %r1;
    }
    st.global.v2.u32 [%out], {%r1, %r2};
    ret;
}
""")


def test_a_family_belongs_to_its_block():
    assert stored(FAMILIES) == [1, 4, 3, 5]


# ptxas takes 15 s for this.
MANY = (
    HEADER
    + """
.visible .entry family_of_registers(.param .u64 out)
{
    .reg .u64 %out;
    .reg .u32 %r<2147483647>, %r1_<3>;
    ld.param.u64 %out, [out];
    mov.u32 %r2147483646, 5;
    mov.u32 %r01, 6;            // %r1
    st.global.u32 [%out], %r2147483646;
    st.global.u32 [%out + 4], %r1;
    ret;
}
"""
)


def test_a_family_may_have_two_billion_registers():
    assert stored(MANY)[:2] == [5, 6]
    assert set(choose(parse(MANY), None).registers) == {"%out", "%r2147483646", "%r1"}


def test_the_text_ends_at_a_nul_and_line_markers_are_ignored():
    text = LABELS.replace(".visible", '#line 12 "made.cu"\n  # 5 "made.cu" 2\n.visible')
    assert stored(text + "\0anything") == [9, 0, 2, 0]


# ---- the same forms as ptxas


BODY = """
.global .align 4 .b32 g[4]; .shared .b32 s; .func f() { ret; }
.visible .entry k(.param .u64 x)
{ .reg .b64 %p, %q; .reg .b32 %r; .reg .b16 %h; .reg .f32 %f; .reg .pred %c;
  ld.param.u64 %p, [x];
"""
TAKEN = [
    "L: { L: bra L; }",
    "{ bra L; } L:",
    "{ L: bra M; } { L: bra M; } M:",
    "g: bra g;",
    ".reg .b32 r; { r: bra r; }",
    "t: .branchtargets A, B; { A: brx.idx %r, t; } B: A:",
    ".reg .b32 a<3>; { .reg .f32 a1; mov.f32 a1, 1.0; } mov.b32 a1, 1;",
    ".reg .b32 a<0x4>, b, c<2>; mov.b32 a3, 1;",
    ".reg .b32 a<3>, a3; mov.b32 a3, 1;",
    ".reg .b32 %tid; mov.b32 %tid, 1;",
    ".shared .b32 a<4>; ld.shared.b32 %r, [a3];",
    ".const .b32 c[2] = {1}; ld.const.b32 %r, [c + 4];",
    ".local .b32 l; { .local .b64 l; st.local.b64 [l], %q; } st.local.b32 [l], %r;",
    ".reg .v4 .b8 %v; ld.global.v4.b8 %v, [%p];",
    ".reg .v2 .b64 %v; mov.v2.b64 %v, {%p, 1};",
    ".reg .v2 .b16 %v; mov.b32 %r, %v;",
    "ld .global .u32 %r, [%p];",
    ".loc 1 2 3 mov.u32 %r, 1;",
    "@ ! %c mov.u32 %r, %tid.w;",
    "add.u16 %h, %h + 1, %h;",
    "st.global.b32 [%p + 1 ? 8 : 16], { 5 };",
    "mov.pred %c, 5 > 3;",
    "setp.eq.and.u32 %c, %r, 1, !(1);",
    "proto: .callprototype _ (); call %q, proto;",
    "{ }",
]  # fmt: skip
REFUSED = [
    "L: L:",
    "{ L: } bra L;",
    "bra L; { L: }",
    "x: bra x;",
    ".reg .b32 r; r: bra r;",
    ".reg .b32 a; .reg .b32 a;",
    ".reg .b32 a<3>; .reg .b32 a1;",
    ".reg .b32 a1; .reg .b32 a<3>;",
    ".reg .b32 a1, a9; .reg .b32 a<3>;",
    ".reg .b32 a<3>; .reg .b32 a<3>;",
    ".reg .b32 a<3>; mov.b32 a3, 1;",
    ".reg .b32 a<2 + 2>;",
    ".reg .b32 WARP_SZ;",
    ".shared .b32 x;",
    ".shared .b32 a = 4;",
    "{ .shared .b32 a; } ld.shared.b32 %r, [a];",
    "ld.shared.b32 %r, [late]; .shared .b32 late;",
    "{ t: .branchtargets A; } brx.idx %r, t; A:",
    ".reg .v2 .pred %v;",
    ".reg .v4 .b64 %v;",
    ".reg .v2 .b32 %v; mov.b32 %r, %v.z;",
    ".visible .global .b32 a;",
    "mov.b64 %q, %p - 5;",
    "st.global.u64 [%p - 8], %q;",
    "st.global.u64 [g[1]], %q;",
    "mov.u64 %q, g[1] + 4;",
    "mov.u64 %q, s[0];",
    "add.f32 %f, 1.0, -0f3f800000;",
    "mov.u32 %r, {5};",
    "add.u32 %r, {%r}, 1;",
    "@1 mov.u32 %r, 1;",
    "ret; ;",
    "#define X 1",
]  # fmt: skip
MODULE_TAKEN = [
    ".extern .global .u32 a[]; .visible .global .u32 a[4] = {1};",
    ".weak .global .u32 a = 3;",
    ".common .global .u32 a;",
    ".global .attribute(.managed) .align 8 .u32 a = 3;",
    ".extern .shared .b8 a[]; .extern .shared .align 16 .b8 b[];",
    ".global .u32 a<2>, b[WARP_SZ], c = 4;",
    ".global .u8 a[3][2] = {{1, 2}, {3}};",
    ".global .u8 a[][2] = {{1}, {2}};",
    ".global .v2 .u8 a[] = {{1, 2}, {3, 4}};",
    ".global .u32 a[4]; .global .u64 b[] = {a, a + 4 * 2, generic(a) + 4};",
    ".global .u32 a; .global .u8 b[] = {0xff(a), 0xff00(generic(a) + 4), 0xff00(131187)};",
    ".func g() { ret; } .func f(); .alias f, g;",
    ".func f; .func f { ret; }",
    ".entry e() .maxntid 32, 2 .minnctapersm 2 .pragma \"nounroll\"; { ret; }",
    ".entry e(.param .u64 .ptr .global .align 16 a, .param .align 16 .b8 b[32]) { }",
    ".section .debug_str { a: .b8 1, 2 }",
    ".file 1 \"x.cu\"",
]  # fmt: skip
MODULE_REFUSED = [
    ".global .u32 a; .global .u32 a;",
    ".shared .b8 a[];",
    ".local .u32 a;",
    ".global .u8 a[2] = {1, 2, 3};",
    ".global .u8 a[2] = {1,};",
    ".global .u8 a[2] = 1;",
    ".global .u8 a = {1};",
    ".global .u8 a[2][2] = {1, 2};",
    ".global .v2 .u8 a = {1};",
    ".global .u32 a[0];",
    ".global .u32 a[1 + 1];",
    ".global .f32 a = 1;",
    ".global .u32 a = 1.5;",
    ".global .align 3 .u32 a;",
    ".visible .weak .global .u32 a;",
    ".func f() { ret; } .func f() { ret; }",
    ".entry e(.reg .u32 a) { ret; }",
    ".entry e(.param .u32 a, .param .u32 a) { ret; }",
    ".entry e() .maxntid 16 + 16 { ret; }",
    ".version 8.0",
    "/* not closed",
]  # fmt: skip
ENTRY = ".visible .entry k() { ret; }\n"


def reads(text):
    """Whether the emulator accepts it."""
    try:
        module = parse(text)
        translate(module, choose(module, "k"))
    except (PtxSyntaxError, UnsupportedInstruction):
        return False
    return True


def test_ptxas_accepts_the_forms_that_the_emulator_accepts():
    blocks = "".join(f"{{ {line} }}\n" for line in TAKEN)
    texts = [f"{HEADER}{BODY}{blocks} ret; }}", *(f"{HEADER}{text}\n{ENTRY}" for text in MODULE_TAKEN)]
    for text in texts:
        assert reads(text)
        assemble(text, "sm_80")


@pytest.mark.parametrize("text", [*(f"{BODY}{line}\n ret; }}" for line in REFUSED),
                                  *(f"{text}\n{ENTRY}" for text in MODULE_REFUSED)])  # fmt: skip
def test_ptxas_and_the_emulator_refuse_the_same_forms(text):
    assert not reads(HEADER + text)
    with pytest.raises(ptxas.RefusedError):
        assemble(HEADER + text, "sm_80")
