"""A PTX kernel as text: the positions of its statements, and which statements may be swapped."""

import pytest

from ptxbench.audit.kernel import read_kernel, separated
from ptxbench.audit.neutral import (
    commented,
    declared_backwards,
    independent,
    renamed_labels,
    renamed_registers,
    reordered,
)
from ptxbench.discovery import default_kernels
from ptxbench.emulator.parse import parse
from ptxbench.emulator.syntax import Vector
from ptxbench.toolchain.comments import without_comments
from tests.folders import PTX, changed

FILES = sorted(default_kernels().glob("ptx/*.ptx"))


def entry_of(path):
    return next(iter(parse(path.read_text()).entries))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_text_of_every_statement_matches_the_parser(path):
    kernel = read_kernel(path.read_text(), entry_of(path))
    assert [instruction.parts[1] for instruction in kernel.instructions] == [
        instruction.opcode for instruction in kernel.function.instructions
    ]
    for instruction in kernel.instructions:
        guard, opcode, operands = instruction.parts
        tensors = sum(isinstance(operand, Vector) for operand in instruction.instruction.operands if "tensor" in opcode)
        assert len(operands) == len(instruction.instruction.operands) - tensors  # [map, {x, y}] is two for the parser
        assert bool(guard) == (instruction.instruction.guard is not None)


OPERANDS = [
    ("{%a, %b}, [%c + 4], 0x3", ["{%a, %b}", "[%c + 4]", "0x3"]),
    ("%d|%p, %s, 1",            ["%d|%p", "%s", "1"]),
    ("(%r), f, (%a, %b)",       ["(%r)", "f", "(%a, %b)"]),
    ("",                        []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "operands"), OPERANDS)
def test_operands_are_separated_at_the_outermost_commas(text, operands):
    assert separated(text) == operands


def test_comments_leave_every_other_character_where_it_was():
    text = "add; // one;\n/* two;\nthree */ sub;\n"
    bare = without_comments(text)
    assert bare == "add;        \n       \n         sub;\n"
    assert len(bare) == len(text)


BODY = """\
.version 6.3
.target sm_75
.address_size 64
.visible .entry f(.param .u64 x)
{{
    .reg .u32 %a, %b, %c, %d;
    .reg .u64 %at;
    .reg .pred %p;
{}
}}
"""


# two statements, whether they may be exchanged
NEIGHBOURS = [
    ("mov.u32 %a, 1;",        "mov.u32 %b, 2;",            True),
    ("mov.u32 %a, %tid.x;",   "add.u32 %b, %c, 2;",        True),
    ("mov.u32 %a, 1;",        "add.u32 %b, %a, 2;",        False),  # the second reads what the first writes
    ("add.u32 %b, %a, 2;",    "mov.u32 %a, 1;",            False),  # the first reads what the second writes
    ("mov.u32 %a, 1;",        "mov.u32 %a, 2;",            False),  # both write it
    ("setp.eq.u32 %p, %a, 1;", "@%p mov.u32 %b, 2;",       False),  # a guard is a source
    ("add.cc.u32 %a, %b, 1;", "addc.u32 %c, %d, 1;",       False),  # the carry is in no operand
    ("add.u32 %a, %b, 1;",    "add.cc.u32 %c, %d, 1;",     False),
    ("mov.u32 %a, %clock;",   "mov.u32 %b, 2;",            False),  # the time shows the order
    ("ld.global.u32 %a, [%at];", "mov.u32 %b, 2;",         False),  # accesses to memory keep their order
    ("bar.sync 0;",           "mov.u32 %b, 2;",            False),
    ("bra L;",                "mov.u32 %b, 2;",            False),
    ("shfl.sync.bfly.b32 %a, %a, 1, 31, -1;", "mov.u32 %b, 2;", False),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "may"), NEIGHBOURS)
def test_neighbours_are_exchanged_if_nothing_depends_on_their_order(one, other, may):
    kernel = read_kernel(BODY.format(f"{one}\n{other}\nL: ret;"), "f")
    first, second = kernel.instructions[:2]
    assert independent(first, second) is may
    assert (reordered(kernel) != kernel.text) is may


def test_instructions_with_a_label_between_them_are_not_exchanged():
    kernel = read_kernel(BODY.format("mov.u32 %a, 1;\nL:\nmov.u32 %b, 2;\nret;"), "f")
    assert reordered(kernel) == kernel.text


# edit, its result on `scale`, in which text
NEUTRAL = [
    (renamed_registers,  "mov.u32     %thread, %tid.x;",  "mov.u32     %audit_0, %tid.x;"),
    (renamed_labels,     "@%past bra    DONE;",           "@%past bra    AUDIT_0;"),
    (declared_backwards, ".reg .f32   %a, %value;",       ".reg .f32 %value, %a;"),
    (commented,          "st.global.f32       [%at], %value;", "st.global.f32       [%at], %value;    // a remark\n"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "before", "after"), NEUTRAL)
def test_a_neutral_edit_changes_the_text_but_not_the_program(edit, before, after):
    assert before in PTX
    text = edit(read_kernel(PTX, "scale"))
    assert after in text
    assert len(parse(text).entries["scale"].instructions) == len(parse(PTX).entries["scale"].instructions)


def test_a_family_of_registers_is_not_renamed():
    kernel = read_kernel(changed(PTX, "%a, %value;", "%a, %value, %f<4>;"), "scale")
    assert renamed_registers(kernel) is None
    assert declared_backwards(kernel) is None
