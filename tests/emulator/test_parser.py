"""Every form of PTX syntax, NVRTC's output, and texts with mistakes: a clear error or a result, never a crash."""

import contextlib
import random
import re
import signal
import struct

import llvmlite.binding as llvm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptxbench import toolchain
from ptxbench.emulator.parse import choose, parse
from ptxbench.emulator.syntax import (
    Address,
    Dual,
    Group,
    Immediate,
    Not,
    Prototype,
    Register,
    Sink,
    Special,
    Symbol,
    Vector,
)
from ptxbench.emulator.translate import translate
from ptxbench.errors import LaunchError, PtxSyntaxError, UnsupportedInstruction
from tests.emulator import test_scopes
from tests.emulator.harness import HEADER, program
from tests.emulator.pairs import KERNELS, SIDES, lowest_target, source
from tests.emulator.test_constants import OPERANDS

FORMS = program("""
/* A comment that
   spans lines */ .global .align 8 .b8 bytes[12] = {1, 0x2, 03, 0b100, 255};   // bytes: 1 2 3 4 255
.const .f32 table[2][3] = {{1.0, 2.5e-1, 0f40400000}, {4., -5.0, 6E0}};
.global .u64 where[2] = {bytes, generic(table)+4};
.extern .shared .align 16 .b8 dynamic[];
.shared .v4 .f32 quads[2];
.func (.reg .u32 %result) twice(.reg .u32 %value)
{
    shl.b32 %result, %value, 1;
    ret;
}
.weak .func nothing(.param .b32 unused) .noreturn;
.weak .func nothing(.param .b32 unused) .noreturn
{
    exit;
}
.visible .entry forms(
    .param .u64 .ptr .global .align 4 to,
    .param .align 8 .b8 structure[16],
    .param .f64 wide
)
.maxntid 32, 2, 1
.minnctapersm 2
{
    .reg .b32 %r<4>, plain, _under, $dollar, %mixed$_1;
    .reg .pred p, %q;
    .reg .u64 %to;
    .reg .f32 %f;
    .reg .f64 %d;
    .local .align 4 .b8 own[8];
    .loc 1 7 3
    .pragma "nounroll";
    ld.param.u64 %to, [to];
    ld.param.u32 %r0, [structure+4];
    ld.param.f64 %d, [wide];
    mov.u32 %r1, 0x10;
    mov.u32 %r2, 010;
    mov.u32 %r3, 0b101;
    mov.u32 plain, 42U;
    mov.u32 _under, -1;
    mov.f32 %f, 0fBF800000;
    mov.f64 %d, 0d3FF0000000000000;
    mov.f32 %f, 1.5;
    mov.u32 $dollar, %tid.x;
    mov.u32 %mixed$_1, WARP_SZ;
    setp.eq.u32 p|%q, %r1, %r2;
    setp.ne.and.u32 p, %r1, %r2, !%q;
    @p add.u32 %r1, %r1, 1;
    @!p add.u32 %r1, %r1, 2;
    {
        .reg .u32 %r1, inner;
        mov.u32 %r1, 7;
        mov.u32 inner, %r1;
        st.global.u32 [%to], inner;
    }
    call.uni (%r3), twice, (%r1);
    st.global.v2.u32 [%to+8], {%r1, %r3};
    mov.b64 {%r0, _}, %d;
    st.local.u32 [own+4], %r0;
    bra.uni END;
    .pragma "nounroll";
END:
LAST:
    ret;
}
""")


def forms():
    return choose(parse(FORMS), "forms")


def instruction(part):
    """The instruction on the line that contains `part`."""
    line = FORMS[: FORMS.index(part)].count("\n") + 1
    return next(form for form in forms().instructions if form.line == line)


def test_the_header_of_a_module():
    module = parse(FORMS)
    assert (module.version, module.target, module.address_size) == ("8.0", ("sm_80",), 64)
    assert list(module.entries) == ["forms"]
    assert set(module.functions) == {"twice", "nothing", "forms"}
    assert module.functions["nothing"].defined  # declared first
    assert not parse(HEADER + ".extern .func other(.param .b32 x);").functions["other"].defined


def test_variables_with_their_alignment_size_and_initial_values():
    variables = parse(FORMS).variables
    taken = {name: (v.space, str(v.type), v.align, v.size_bytes) for name, v in variables.items()}
    assert taken == {
        "bytes": ("global", "b8", 8, 12),
        "table": ("const", "f32", 4, 24),
        "where": ("global", "u64", 8, 16),
        "dynamic": ("shared", "b8", 16, 0),
        "quads": ("shared", "f32", 16, 32),
    }
    assert variables["bytes"].initial == (1, 2, 3, 4, 255)
    table = np.array([1.0, 0.25, 3.0, 4.0, -5.0, 6.0], np.float32)
    assert variables["table"].initial == tuple(table.view(np.uint32))
    assert variables["where"].initial == (Symbol("bytes"), Symbol("table", 4, generic=True))
    assert variables["dynamic"].count is None


def test_parameters_and_directives_of_an_entry():
    function = forms()
    assert [(p.name, str(p.type), p.align, p.size_bytes, p.array) for p in function.params] == [
        ("to", "u64", 8, 8, False),  # .align 4 belongs to the pointed-to data,
        ("structure", "b8", 8, 16, True),
        ("wide", "f64", 8, 8, False),
    ]
    assert function.directives == {".maxntid": (32, 2, 1), ".minnctapersm": (2,)}
    assert function.labels == {"END": len(function.instructions) - 1, "LAST": len(function.instructions) - 1}


def test_registers_of_families_and_scopes():
    registers = forms().registers
    names = ["%r0", "%r3", "plain", "_under", "$dollar", "%mixed$_1", "p", "%q", "%to"]
    assert {name: str(registers[name]) for name in names} == {
        **dict.fromkeys(names[:6], "b32"),
        **dict.fromkeys(["p", "%q"], "pred"),
        "%to": "u64",
    }
    inner = instruction("mov.u32 %r1, 7;").operands[0]
    assert inner != Register("%r1")
    assert str(registers[inner.name]) == "u32"
    assert instruction("st.global.u32 [%to], inner").operands[1] == instruction("mov.u32 inner").operands[0]


@pytest.mark.parametrize(
    ("part", "operands"),
    [
        ("[structure+4]", (Register("%r0"), Address(Symbol("structure"), 4))),
        ("0x10;", (Register("%r1"), Immediate(16))),
        ("010;", (Register("%r2"), Immediate(8))),
        ("0b101;", (Register("%r3"), Immediate(5))),
        ("42U;", (Register("plain"), Immediate(42))),
        ("_under, -1", (Register("_under"), Immediate(-1))),
        ("0fBF800000;", (Register("%f"), Immediate(0xBF800000, 32))),
        ("0d3FF0", (Register("%d"), Immediate(0x3FF0000000000000, 64))),
        ("%f, 1.5;", (Register("%f"), Immediate(1.5))),
        ("$dollar, %tid.x", (Register("$dollar"), Special("%tid.x"))),
        ("WARP_SZ", (Register("%mixed$_1"), Immediate(32))),
        ("p|%q,", (Dual(Register("p"), Register("%q")), Register("%r1"), Register("%r2"))),
        ("!%q;", (Register("p"), Register("%r1"), Register("%r2"), Not(Register("%q")))),
        ("call.uni", (Group((Register("%r3"),)), Symbol("twice"), Group((Register("%r1"),)))),
        ("st.global.v2", (Address(Register("%to"), 8), Vector((Register("%r1"), Register("%r3"))))),
        ("{%r0, _}", (Vector((Register("%r0"), Sink())), Register("%d"))),
        ("[own+4]", (Address(Symbol("own"), 4), Register("%r0"))),
        ("bra.uni", (Symbol("END"),)),
    ],
)
def test_every_form_of_an_operand(part, operands):
    assert instruction(part).operands == operands


@pytest.mark.parametrize("next_statement", ['.file 1 "x.cu"', ".global .u32 x;", ".extern .func g", "", ";"])
def test_the_declaration_of_a_function_needs_no_semicolon(next_statement):
    """The compilers before NVVM wrote none, and ptxas needs none; an entry needs its body."""
    text = HEADER + f".visible .func (.param .b32 r) f (.param .b32 a) .noreturn\n{next_statement}\n"
    assert not parse(text).functions["f"].defined
    defined = parse(text + ".visible .func (.param .b32 r) f (.param .b32 a) .noreturn { ret; }").functions["f"]
    assert defined.defined


def test_prototypes_and_targets_of_calls_through_a_register():
    text = (
        HEADER
        + """.visible .entry f()
{
    one: .callprototype (.param .b32 _) _ (.param .align 8 .b8 _[16], .param .u64 y);
    none: .callprototype _ () .noreturn .abi_preserve 5;
    either: .calltargets first, second;
    ret;
}"""
    )
    function = choose(parse(text), None)
    sizes = {
        label: ([param.size_bytes for param in prototype.returns], [param.size_bytes for param in prototype.params])
        for label, prototype in function.prototypes.items()
    }
    assert sizes == {"one": ([4], [16, 8]), "none": ([], [])}
    assert function.prototypes["none"] == Prototype(noreturn=True)
    assert function.call_targets == {"either": ("first", "second")}


def test_guards():
    for part, negated in (("@p add", False), ("@!p add", True)):
        assert (instruction(part).guard, instruction(part).negated) == (Register("p"), negated)


def test_the_values_of_float_literals_in_arithmetic():
    text = (
        HEADER
        + ".visible .entry f()\n{ .reg .f32 %a; mov.f32 %a, 0F3f800000; mov.f32 %a, 0.1; mov.f32 %a, -2.5e3; ret; }"
    )
    values = [instruction.operands[1] for instruction in choose(parse(text), None).instructions[:3]]
    assert values == [Immediate(0x3F800000, 32), Immediate(0.1), Immediate(-2500.0)]


def test_a_negated_bit_pattern_flips_its_sign():
    text = HEADER + ".visible .entry f()\n{ .reg .f64 %a; mov.f64 %a, -0d3FF0000000000000; ret; }"
    operand = choose(parse(text), None).instructions[0].operands[1]
    assert struct.pack("<Q", operand.value) == struct.pack("<d", -1.0)


MALFORMED = [
    ("", "line 1: expected '.version', found the end of the text."),
    ("x", "line 1: expected '.version', found 'x'."),
    (HEADER.replace("64", "63"), "line 3: expected an .address_size of 32 or 64, found 63."),
    (HEADER + "foo", "line 4: expected a directive such as .entry, .func or .global, found 'foo'."),
    (HEADER + ".visible .entry f(\n.param .u64 x", "line 5: expected ')', found the end of the text."),
    (HEADER + ".visible .entry f()\n{ ret;\n", "line 5: expected '}', found the end of the text."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r<x>; }", "line 5: expected a number, found 'x'."),
    (HEADER + ".visible .entry f()\n{ mov.u32 %r, #; }",
     "line 5: only a line such as '#line 12 \"file.cu\"' may start with '#'; run the preprocessor first."),
    (HEADER + ".visible .entry f()\n.fast\n{ ret; }", "line 5: '.fast' is not a directive of a function."),
    (HEADER + ".visible .entry f()\n{ .what; }", "line 5: '.what' is not a directive of a function's body."),
    (HEADER + ".visible .entry f()\n.visible .entry g() { ret; }", "line 5: expected '{', found '.visible'."),
    (HEADER + ".local .u32 x;", "line 4: '.local' must be in a function; only PTX before 3.0 may have it outside."),
    (HEADER + ".tex .u32 x;", "line 4: '.tex' is not supported, because no textures and surfaces are modelled."),
    (HEADER + ".global .u32 x[2.5];", "line 4: expected a whole number, found '2.5'."),
    (HEADER + ".global .u32 x = {1, 2\n", "line 4: expected a number, found '{'."),
    (HEADER + ".global .align x;", "line 4: expected a number, found 'x'."),
    (HEADER + ".global x;", "line 4: expected a type, found 'x'."),
    (HEADER + ".section .debug_info\n{ .b8 1", "line 5: expected '}', found the end of the text."),
    (HEADER + '.pragma "x"\n', "line 4: a ';' is missing at the end of the line."),
    (HEADER + ".global .attribute(.managed .u32 x;\n", "line 4: expected ')', found the end of the text."),
    (HEADER + ".visible .entry f()\n{ bra x; }", "line 5: label 'x' is not defined in 'f'."),
    (HEADER + ".visible .entry f()\n{ x: x: ret; }", "line 5: duplicate label 'x'."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r, %r; }", "line 5: duplicate register '%r'."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r; add.u32 %r, %r - 4, %r; }", "line 5: expected ';', found '-'."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r\nret; }", "line 5: a ';' is missing at the end of the line."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r;\nret\n}", "line 6: a ';' is missing at the end of the line."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r;\nret\nret; }", "line 6: a ';' is missing at the end of the line."),
    (HEADER + ".visible .entry f()\n{ .reg .pred %p; %p ret; }",
     "line 5: expected an instruction, found '%p'; a guard has an '@' before it."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r; mov.u32 %r, %warpsize; }",
     "line 5: '%warpsize' is not declared; the number of lanes is WARP_SZ."),
    (HEADER + ".visible .entry f()\n{ .reg .f32 %f; mov.f32 %f, 1.0f; }",
     "line 5: '1.0f' is not a number; a float is written 1.0, 0f with 8 hexadecimal digits, or 0d with 16."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r; ld.global.u32 %r, [%r + %r]; }",
     "line 5: an address is a register or a variable, plus a number; add '%r' in an instruction before."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r; mov.u32 %r, 08; }",
     "line 5: '08' starts with 0, so it is octal, but has a digit above 7."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r; mov.u32 %r, 1 / 0; }",
     "line 5: the constant expression divides by zero."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r; mov.u32 %r, 1 + 0.5; }",
     "line 5: the constant expression mixes whole numbers and floats."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r; mov.u32 %r, (1 + 2; }", "line 5: expected ')', found ';'."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r; mov.u32 %r, 1 ? 2; }", "line 5: expected ':', found ';'."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r; ld.u32 %r, [%r - 4]; }",
     "line 5: a negative offset of an address needs a '+': + -4."),
    (HEADER + ".visible .entry f()\n{ .reg .f32 %f; mov.f32 %f, %f + 1; }",
     "line 5: '%f' is .f32; a constant can only be added to an integer register."),
    (HEADER + ".visible .entry f()\n{ ret; ; }", "line 5: expected an instruction, found ';'."),
    (HEADER + ".visible .entry f()\n{ .reg .u32 %r; mov.u32 %r, %perctamemorysize; }",
     "line 5: '%perctamemorysize' of PTX ISA 9.4 and 9.5 is not supported."),
    (HEADER + ".visible .entry f()\n{ mov.u32 %r, 1; }", "line 5: '%r' is not declared; add it to a .reg line."),
    (HEADER + ".global .u32 x, x;", "line 4: duplicate variable 'x'."),
    (HEADER + ".global .u32 x[2] = {1, 2, 3};", "line 4: too many initial values: expected at most 2."),
    (HEADER + ".global .u32 x[2][2] = {1, 2};", "line 4: expected '{', found '1'."),
    (HEADER + ".global .v4 .f64 x;", "line 4: unknown vector type .v4 .f64; a vector has at most 128 bits."),
    (HEADER + ".shared .u32 x = 1;",
     "line 4: 'x' cannot have an initial value: only a .global or .const variable can."),
    (HEADER + ".shared .u32 x[];", "line 4: 'x' needs a length; only an .extern array can be without one."),
    (HEADER + "#define X 1\n",
     "line 4: only a line such as '#line 12 \"file.cu\"' may start with '#'; run the preprocessor first."),
    (HEADER + "/* never closed", "line 4: unterminated comment."),
    ("```ptx\n" + HEADER + "```", "line 1: this is a fence of Markdown; keep only the text between the fences."),
    ("\n__global__ void k() {}", "line 2: this is CUDA C, where PTX is expected; give it as a .cu file."),
    ("import torch\n" + HEADER, "line 1: this is Python; keep only the text of a kernel in CUDA C or PTX."),
    (HEADER + '.pragma "never closed;', "line 4: unterminated string."),
    (HEADER + ".shared .texref t;", "line 4: a variable of .texref must be .global."),
    (HEADER + ".global .samplerref s = { filter_mode = nearest", "line 4: expected '}', found the end of the text."),
    (HEADER + ".visible .entry f()\n{ .loc_intermediate 1 2 3, x; }", "line 5: expected an instruction, found ','."),
    (HEADER + ".global .b8 é;", "line 4: unexpected character 'é'."),
]  # fmt: skip


@contextlib.contextmanager
def within(seconds):
    """An error if the block takes longer: a parser that waits for a token after the last one never ends."""

    def stop(number, frame):
        raise TimeoutError(f"still at it after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


UNUSED = """
.file 1 "k.cu"
.global .texref picture;
.global .surfref surfaces[2];
.global .samplerref sampler = { addr_mode_0 = clamp_to_border, filter_mode = nearest };
.global .samplerref samplers[2] = { { filter_mode = nearest }, { filter_mode = linear } };
.visible .entry f() { .loc_intermediate 1 2 3
.loc 1 2 3
ret; }
"""


def test_a_hidden_parameter_is_a_parameter():
    text = ".version 8.8\n.target sm_90\n.address_size 64\n.entry k(.param .u64 x, .hidden .param .b8 m[128]) { ret; }"
    assert [(param.name, param.size_bytes) for param in choose(parse(text), "k").params] == [("x", 8), ("m", 128)]


def test_textures_that_no_kernel_uses_and_directives_without_effect():
    module = parse(HEADER.replace("8.0", "9.5") + UNUSED)
    assert [(name, variable.count) for name, variable in module.variables.items()] == [
        ("picture", 1), ("surfaces", 2), ("sampler", 1), ("samplers", 2),
    ]  # fmt: skip
    assert len(choose(module, None).instructions) == 1


def test_a_kernel_with_a_texture_as_its_parameter_is_not_supported():
    with pytest.raises(UnsupportedInstruction, match=r"^line 4: '\.texref' is not supported, because no textures"):
        parse(HEADER + ".visible .entry f(.param .texref t) { ret; }")


@pytest.mark.parametrize(("text", "message"), MALFORMED)
def test_a_text_that_cannot_be_parsed_is_reported_with_place_and_expectation(text, message):
    with pytest.raises(PtxSyntaxError) as caught, within(2):
        parse(text)
    assert str(caught.value) == message


ENDLESS = [
    ("ret;\n" * 120_000,                            "functions of more than 40,000 instructions are not supported."),
    ("{" * 3000 + "}" * 3000,                       "blocks nested more than 1,600 deep are not supported."),
    (f"mov.b32 x, {'{' * 5000}1{'}' * 5000};",      "expected a register or a number, found '{'."),
    (f".global .u32 y = {'{' * 5000}1{'}' * 5000};", "expected a number, found '{'."),
    (".shared .u32 y<2147483647>;",                 "'y<2147483647>' declares more than 65,536 variables."),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "message"), ENDLESS, ids=range(len(ENDLESS)))
def test_a_text_that_is_too_large_is_refused_at_once(lines, message):
    with pytest.raises(PtxSyntaxError, match=re.escape(message)), within(20):
        parse(f"{HEADER}.visible .entry f()\n{{ .reg .b32 x;\n{lines} ret; }}")


# ---- what tools write


CUDA = sorted({source(name, variant).path for name, variant in SIDES if variant.startswith("cuda")})


@pytest.mark.parametrize("path", CUDA, ids=[path.name for path in CUDA])
@pytest.mark.parametrize(("number", "flags"), [
    pytest.param(90, (), id="90"),
    pytest.param(75, (), id="75", marks=pytest.mark.long),
    pytest.param(121, ("--use_fast_math",), id="fast", marks=pytest.mark.long),
])  # fmt: skip
def test_the_ptx_of_nvrtc_is_parsed_and_translated(path, number, flags):
    arch = f"sm_{max(number, lowest_target(path))}"
    text = toolchain.compiled(path.read_bytes(), path, arch, flags).ptx
    module = parse(text)
    function = choose(module, None)
    assert module.target[0] == arch
    translation = translate(module, function)
    lines = text.splitlines()
    for instruction, step in zip(function.instructions, translation.steps, strict=True):
        assert instruction.line == step.line
        assert instruction.opcode in lines[instruction.line - 1]


# ---- what is nearly PTX


TEXTS = [
    *(path.read_text() for path in sorted(KERNELS.glob("ptx/*.ptx"))),
    *[FORMS, *(getattr(test_scopes, name) for name in ("LABELS", "VARIABLES", "VECTORS", "ELEMENTS")), OPERANDS] * 4,
]
PIECES = re.compile(r"\s+|//[^\n]*|[\w.$%]+|\"[^\"]*\"|.")


def pieces(text):
    return PIECES.findall(text)


def kind(piece):
    """The replacements of a token that keep the text close to PTX: a register, a number, an opcode, ..."""
    first = piece[0]
    if first in "%.":
        return first
    return "number" if first.isdigit() else "opcode" if "." in piece else "name" if first.isalpha() else piece


VOCABULARY = sorted({piece for text in TEXTS for piece in pieces(text) if piece.strip()})


def mutated(text, seed):
    """`text` with one to three pieces removed, doubled, swapped, nested, damaged, made long, or replaced,
    mostly by others of their kind."""
    rng = random.Random(seed)
    changed = pieces(text)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.choice([i for i, piece in enumerate(changed) if piece.strip()])
        piece = changed[at]
        change = rng.choice(["leave out", "double", "swap", "nest", "damage", "long", "any", *["alike"] * 8])
        if change == "leave out":
            del changed[at]
        elif change == "double":
            changed.insert(at, piece)
        elif change == "swap":
            other = rng.choice([i for i, part in enumerate(changed) if part.strip()])
            changed[at], changed[other] = changed[other], piece
        elif change == "nest":
            left, right = tuple(rng.choice(["{}", "()", "[]", "- ", "1?", "<>"]))
            depth = rng.choice([1, 2, 2000])
            changed[at] = left * depth + piece + right * depth
        elif change == "long":
            changed[at] = rng.choice(["9" * 5000, "1" * 20, "0x" + "f" * 17, "a" * 5000, "%r2147483647", "16777217"])
        elif change == "damage":
            place = rng.randrange(len(piece))
            changed[at] = piece[:place] + rng.choice('0a.%;{}-@#?:<\0\x7f\u00e9"') + piece[place + 1 :]
        elif change == "any":
            changed[at] = rng.choice(VOCABULARY)
        else:
            own_pieces = {other for other in changed if other.strip()}
            pool = own_pieces if rng.random() < 0.7 else VOCABULARY
            changed[at] = rng.choice(sorted(other for other in pool if kind(other) == kind(piece)))
    return "".join(changed)


@pytest.mark.long
@settings(max_examples=600, deadline=None, derandomize=True)
@given(text=st.sampled_from(TEXTS), seed=st.integers(0, 2**32))
def test_a_text_with_mistakes_gives_a_clear_error_or_runs(text, seed):
    """Up to LLVM's own verification of the result; any other exception would end the emulator's process."""
    wrong = mutated(text, seed)
    with within(20):
        message = ""
        try:
            module = parse(wrong)
            translation = translate(module, choose(module, None))
            llvm.parse_assembly(translation.ir)
        except (PtxSyntaxError, UnsupportedInstruction, LaunchError) as error:
            message = str(error)
        assert re.match(r"line \d+: |The PTX has \d+ entries; name one of them: |$", message)


def test_the_pieces_together_are_the_text():
    for text in TEXTS:
        assert "".join(pieces(text)) == text
