"""Vector loads and stores of optimised code: the same results, and no sorting if the elements need none."""

import random
import re

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.modules import defined_by
from ptxbench.emulator.parse import choose, parsed
from ptxbench.emulator.process import InThisProcess
from ptxbench.emulator.runtime import access
from ptxbench.emulator.translate import translate
from tests.emulator.harness import program
from tests.emulator.oracle import interpret
from tests.quick import every

KERNEL = """
.visible .entry NAME(.param .u64 x, .param .u64 a, .param .u64 b, .param .TYPE s, .param .u32 n)
{
    .reg .u64   %x, %a, %b, %offset;
    .reg .u32   %thread, %block, %n, %place;
    .reg .pred  %outside, %odd, %p<COUNT>;
    .reg .REGISTER %s, %t, %x<COUNT>, %a<COUNT>, %b<COUNT>, %c<COUNT>;
    .shared .align 32 .b8 tile[2048];
    mov.u32 %thread, %tid.x;
    mov.u32 %block, %ctaid.x;
    mad.lo.u32 %thread, %block, 64, %thread;
    ld.param.u32 %n, [n];
    setp.ge.u32 %outside, %thread, %n;
    @%outside exit;
    and.b32 %place, %thread, 1;
    setp.ne.u32 %odd, %place, 0;
    ld.param.TYPE %s, [s];
    ld.param.u64 %x, [x];
    ld.param.u64 %a, [a];
    ld.param.u64 %b, [b];
    mul.wide.u32 %offset, %thread, STRIDE;
    add.u64 %x, %x, %offset;
    add.u64 %a, %a, %offset;
    add.u64 %b, %b, %offset;
    ld.global.vCOUNT.TYPE {ALL_A}, [%a];
    ld.global.vCOUNT.TYPE {ALL_B}, [%b];
    BODY
    ret;
}
"""
BLOCK = 64


def per_element(text, elements):
    """One line for each element: # is its number."""
    return "\n    ".join(text.replace("#", str(k)) for k in range(elements))


def module(name, body, type="f32", count=4, stride=1, element_bytes=4):
    text = KERNEL.replace("BODY", body.replace("STORE", "st.global.vCOUNT.TYPE [%x], {ALL_X};"))
    for word, new in {
        "NAME": name, "TYPE": type, "REGISTER": {"u8": "u16"}.get(type, type), "STRIDE": stride * count * element_bytes,
    }.items():  # fmt: skip
        text = text.replace(word, str(new))
    for letter in "XAB":
        text = text.replace(f"ALL_{letter}", ", ".join(f"%{letter.lower()}{k}" for k in range(count)))
    return program(text.replace("COUNT", str(count)))


def is_interleaved(text):
    translation = translate(parsed(text), choose(parsed(text), None))
    return any(
        re.match(r"store_(global|shared)_\d_\d_interleaved", defined_by(f).strip('"')) for f in translation.functions
    )


@pytest.fixture
def optimised(monkeypatch):
    """Compares launches of optimised code with the NumPy interpreter."""
    process = InThisProcess()
    monkeypatch.setenv("PTXBENCH_EMULATOR_LEVEL", "1")
    monkeypatch.setattr("ptxbench.emulator.launch.emulator_process", lambda: process)

    def check(text, type, count, stride=1):
        drawn = np.random.default_rng(1)
        kind = np.dtype(type)
        threads = 150  # two whole CTAs, and one in which a warp is partly inside, and another outside
        size = count * stride * threads
        x, a, b = drawn.integers(0, 256, (3, size * kind.itemsize), np.uint8).view(kind)
        if kind.kind == "f":
            a[::7], b[::5], a[3], b[9] = np.nan, np.inf, -0.0, -np.inf
        (s,) = np.array([3], kind)
        interpreted, emulated = x.copy(), x.copy()
        options = {"grid": (3, 1, 1), "block": (BLOCK, 1, 1)}
        interpret(text, None, args=[interpreted, a, b, s, np.uint32(threads)], **options)
        emulator.run(text, args=[emulated, a, b, s, np.uint32(threads)], **options)
        assert emulated.tobytes() == interpreted.tobytes()

    return check


F32X4 = ("f32", np.float32, 4)
TOGETHER = [
    ("copy",        F32X4, "mov.f32 %x#, %a#;"),
    ("scaled_sum",  F32X4, "fma.rn.f32 %x#, %s, %b#, %a#;"),
    ("one_constant", F32X4, "mul.rn.f32 %x#, %a#, 0f40400000;"),
    ("in_steps",    F32X4, "add.rn.f32 %c#, %a#, %b#; neg.f32 %c#, %c#; mul.rn.f32 %x#, %c#, %c#;"),
    ("of_numbers",  F32X4, "mov.f32 %c#, 0f3f800000; add.rn.f32 %c#, %c#, 0f3f800000; mul.rn.f32 %x#, %a#, %c#;"),
    ("greater",     F32X4, "max.f32 %x#, %a#, %b#;"),
    ("chosen",      F32X4, "setp.lt.f32 %p#, %a#, %b#; selp.f32 %x#, %b#, %s, %p#;"),
    ("root",        F32X4, "sqrt.rn.f32 %x#, %a#;"),
    ("pairs",       ("f32", np.float32, 2), "fma.rn.f32 %x#, %a#, %b#, %s;"),
    ("of_doubles",  ("f64", np.float64, 2), "fma.rn.f64 %x#, %s, %b#, %a#;"),
    ("of_words",    ("u32", np.uint32, 4), "mul.lo.u32 %c#, %a#, %b#; shr.u32 %c#, %c#, 3; xor.b32 %x#, %c#, %s;"),
    ("of_halves",   ("u16", np.uint16, 4), "add.u16 %x#, %a#, %b#;"),
    ("of_bytes",    ("u8", np.uint8, 4), "xor.b16 %x#, %a#, %b#;"),
]  # fmt: skip
"""Kernels with the same operation on each element: name, (type, NumPy's type, elements), a line for each element."""

APART = {
    "reversed": "mov.f32 %x0, %a3; mov.f32 %x1, %a2; mov.f32 %x2, %a1; mov.f32 %x3, %a0;",
    "one_element_repeated": per_element("mov.f32 %x#, %a0;", 4),
    "another_operation": per_element("add.rn.f32 %x#, %a#, %b#;", 3) + "sub.rn.f32 %x3, %a3, %b3;",
    "operands_exchanged": per_element("sub.rn.f32 %x#, %a#, %b#;", 3) + "sub.rn.f32 %x3, %b3, %a3;",
    "another_constant": per_element("add.rn.f32 %x#, %a#, 0f3f800000;", 3) + "add.rn.f32 %x3, %a3, 0f40000000;",
    "numbers": "mov.f32 %x0, 0f3f800000; mov.f32 %x1, 0f40000000; mov.f32 %x2, 0f40400000; mov.f32 %x3, 0f40800000;",
    "two_loads": "mov.f32 %x0, %a0; mov.f32 %x1, %a1; mov.f32 %x2, %b2; mov.f32 %x3, %b3;",
    "neighbour": "add.rn.f32 %x0, %a0, %b1; add.rn.f32 %x1, %a1, %b0; add.rn.f32 %x2, %a2, %b3;"
    "add.rn.f32 %x3, %a3, %b2;",
    "one_element_for_all": per_element("mul.rn.f32 %x#, %a#, %b2;", 4),
    "number_of_the_thread": "cvt.rn.f32.u32 %t, %thread;" + per_element("add.rn.f32 %x#, %a#, %t;", 4),
    "guarded": per_element("mov.f32 %x#, %a#; @%odd add.rn.f32 %x#, %x#, %b#;", 4),
    "chosen_by_thread": per_element("selp.f32 %x#, %a#, %b#, %odd;", 4),
    "half_of_a_load": "mov.f32 %x0, %a0; mov.f32 %x1, %a1; mov.f32 %x2, %s; mov.f32 %x3, %s;",
}
"""Kernels with different operations on the elements, or with a value that differs by lane: the body."""


@pytest.mark.parametrize(("name", "kind", "line"), TOGETHER, ids=[name for name, *_ in TOGETHER])
@pytest.mark.parametrize("stride", [pytest.param(1, id="run"), pytest.param(2, id="stride", marks=pytest.mark.long)])
def test_elements_with_the_same_operations_stay_interleaved(optimised, name, kind, line, stride):
    ptx_type, numpy_type, count = kind
    body = per_element(line, count) + "\n    STORE"
    text = module(f"together_{name}_{stride}", body, ptx_type, count, stride, np.dtype(numpy_type).itemsize)
    assert is_interleaved(text)
    optimised(text, numpy_type, count, stride)


@pytest.mark.parametrize(("name", "body"), every(3, APART.items()))
def test_other_elements_are_sorted(optimised, name, body):
    text = module(f"apart_{name}", body + "\n    STORE")
    assert not is_interleaved(text)
    optimised(text, np.float32, 4)


def test_a_number_of_the_lane_differs_by_lane_although_it_is_a_constant(optimised):
    text = module(
        "number_of_the_lane", f"mov.u32 %t, %laneid; {per_element('add.u32 %x#, %a#, %t;', 4)}\n    STORE", "u32"
    )
    assert not is_interleaved(text)
    optimised(text, np.uint32, 4)


def test_a_store_may_follow_another_of_the_same_values(optimised):
    """Also through shared memory, and where another instruction needs the sorted values."""
    body = f"""{per_element("fma.rn.f32 %c#, %s, %b#, %a#;", 4)}
    mov.u32 %place, %tid.x;
    mov.u32 %n, tile;
    mad.lo.u32 %place, %place, 16, %n;
    st.shared.v4.f32 [%place], {{%c0, %c1, %c2, %c3}};
    ld.shared.v4.f32 {{ALL_X}}, [%place];
    {per_element("add.rn.f32 %x#, %x#, %s;", 4)}
    STORE
    add.rn.f32 %x0, %c3, %x2;
    STORE"""
    text = module("stored_twice", body)
    assert is_interleaved(text)
    optimised(text, np.float32, 4)


def test_kernels_with_many_accesses_are_not_changed(monkeypatch):
    text = module("many_accesses", per_element("mov.f32 %x#, %a#;", 4) + "STORE")
    assert is_interleaved(text)
    monkeypatch.setattr(access, "MOST_INLINED", 3)
    assert is_interleaved(text)
    monkeypatch.setattr(access, "MOST_INLINED", 2)
    assert not is_interleaved(text)


OPERATIONS = (
    "add.rn.f32 D, A, B;",
    "mul.rn.f32 D, A, B;",
    "neg.f32 D, A;",
    "fma.rn.f32 D, A, B, C;",
    "min.f32 D, A, B;",
)


@pytest.mark.parametrize("seed", every(4, range(12)))
def test_random_operations_give_the_same_bits(optimised, seed):
    """Mostly the same operation for each element; sometimes one has another operand or another operation."""
    drawn = random.Random(seed)
    sources = ["%a#", "%b#", "%s"]
    lines = []
    for target in ("%c#", "%x#", "%c#", "%x#"):
        operation, chosen = drawn.choice(OPERATIONS), drawn.choices(sources, k=3)
        for k in range(4):
            if drawn.random() < 0.05:
                operation, chosen = drawn.choice(OPERATIONS), drawn.choices(sources, k=3)
            line = operation.replace("D", target)
            for letter, source in zip("ABC", chosen, strict=True):
                line = line.replace(f" {letter}", f" {source}")
            if drawn.random() < 0.05:
                line = line.replace("%b#", f"%b{drawn.randrange(4)}")
            lines.append(line.replace("#", str(k)))
        sources.append(target)
    optimised(module(f"random_elements_{seed}", "\n    ".join([*lines, "STORE"])), np.float32, 4)
