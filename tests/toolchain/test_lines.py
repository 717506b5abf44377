"""SASS with its source lines, from the real ptxas and nvdisasm, and the parsing of their text."""

import pytest

from ptxbench import toolchain
from ptxbench.discovery import default_kernels
from ptxbench.errors import ToolMissing
from ptxbench.toolchain import lines, locate
from tests.toolchain.conftest import CUDA, PTX

KERNELS = default_kernels()
SHIPPED = [
    (language, name)
    for name in ("triad", "bigint_mul256", "softmax", "hgemm_mma")
    for language in ("cuda", "ptx")
]  # fmt: skip


@pytest.mark.parametrize(("language", "name"), SHIPPED)
def test_line_information_leaves_the_machine_code_as_it_is(language, name):
    source = KERNELS / language / f"{name}{'.cu' if language == 'cuda' else '.ptx'}"
    build = toolchain.build(source, language=language, variant=language, entry=name, arch="sm_90")
    annotated = lines.annotate(build)
    assert annotated.same_code
    assert len(annotated.instructions) == build.report.sass["total"]
    assert all(instruction.line for instruction in annotated.instructions)


def test_other_machine_code_than_that_of_the_build_is_detected(build):
    one, other = build(PTX, "twice"), build(PTX.replace("0f40000000", "0f40400000"), "twice")
    mixed = toolchain.Build(**{**vars(one), "ptx": other.ptx})
    assert lines.annotate(one).same_code
    assert not lines.annotate(mixed).same_code


def test_each_instruction_has_the_line_of_ptx_that_it_was_made_from(build):
    annotated = lines.annotate(build(PTX, "twice"))
    text = ["", *PTX.splitlines()]
    opcode_of = {
        instruction.text.split()[0]: text[instruction.line].split()[0] for instruction in annotated.instructions
    }
    assert {name: opcode_of[name] for name in ("LDG.E", "STS", "LDS", "FFMA", "STG.E", "EXIT")} == {
        "LDG.E": "ld.global.f32",
        "STS": "st.shared.f32",
        "LDS": "ld.shared.f32",
        "FFMA": "fma.rn.f32",
        "STG.E": "st.global.f32",
        "EXIT": "ret;",
    }
    assert [instruction.address for instruction in annotated.instructions] == [
        16 * i for i in range(len(annotated.instructions))
    ]


def test_live_registers_are_at_most_the_kernels_and_shown_on_request(build):
    built = build(CUDA)
    live = [instruction.live for instruction in lines.annotate(built, live_registers=True).instructions]
    assert 1 <= max(live) <= built.report.registers
    assert all(instruction.live is None for instruction in lines.annotate(built).instructions)


PRINTED = """\
.text.other:
        /*0000*/                   MOV R0, R1 ;
//--------------------- .text.k   --------------------------
.text.k:                                                       // |       |        |
	//## File ".nv_debug_ptx_txt", line 21
        /*0000*/              @!P0 BRA `(.L_x_1) ;             // |   3   |        |
        /*0010*/                   UMOV UR4, 0x1 ;             // |       |        |   1    |
.L_x_1:
	//## File ".nv_debug_ptx_txt.12345", line 7
        /*0020*/                   EXIT ;                      // |  12   |   1    |
.L_x_2:
        /*0030*/                   BRA `(.L_x_2);
        /*0040*/                   NOP;
.L_x_3:
//--------------------- SYMBOLS --------------------------
        /*0050*/                   MOV R0, R1 ;
"""  # fmt: skip


def test_nvdisasm_output_is_read_without_trap_padding_and_other_kernels():
    assert lines.instructions(PRINTED, "k") == [
        lines.MachineInstruction(0x00, "@!P0 BRA .L_x_1", (), 21, 3),
        lines.MachineInstruction(0x10, "UMOV UR4, 0x1", (), 21, 0),  # a blank column is not a register
        lines.MachineInstruction(0x20, "EXIT", (".L_x_1",), 7, 12),
    ]
    assert lines.instructions(PRINTED, "missing") == []


@pytest.mark.parametrize("tool", ["ptxas", "nvdisasm"])
def test_a_missing_tool_is_named(build, monkeypatch, tool):
    built = build(PTX, "twice")
    there = locate.program
    monkeypatch.setattr(locate, "program", lambda name: None if name == tool else there(name))
    with pytest.raises(ToolMissing, match=f"{tool}, which listings of machine code need, is not installed"):
        lines.annotate(built)
