"""The links between CUDA C, PTX and SASS, and the alignment of two SASS listings. No tool runs here."""

import dataclasses
from pathlib import Path

import pytest

from ptxbench.executed import BlockCount, Executed
from ptxbench.exporters.listing import describe_difference, describe_listing
from ptxbench.listing.difference import DIFFERS, EQUAL, MOVED, AlignedInstruction, compare, count_differences, normal
from ptxbench.listing.text import (
    Listing,
    ListingRow,
    in_machine_order,
    in_source_order,
    kernel_lines,
    lines_of,
    opcode,
)
from ptxbench.result import BuildReport
from ptxbench.toolchain.lines import MachineInstruction
from ptxbench.toolchain.origins import origins

PTX = """\
.version 9.0
.visible .entry other()
{
	.loc 1 9 1
	ret;
}
.visible .entry k(
	.param .u64 k_param_0
)
{
	.reg .b32 %r<3>;
	.loc 1 3 5
	// begin inline asm
	{ .reg .f16 low;
	mov.b32 %r1, 1;
}
	// end inline asm
	not.b32 %r1, %r1;
	.loc 2 700 3, function_name $L__info_string0, inlined_at 2 800 1
	add.s32 %r2, %r1, 1;
	.loc 2 800 1, function_name $L__info_string1, inlined_at 1 4 5
	add.s32 %r2, %r2, 1;
	.loc 2 700 3, function_name $L__info_string0, inlined_at 2 800 1
	mul.lo.s32 %r2, %r2, 3;

	.loc 2 5 1
	ret;
}
	.file 1 "k.cu"
	.file 2 "/usr/include/header.h"
""".splitlines()  # fmt: skip


def test_a_line_of_ptx_belongs_to_the_cuda_line_of_its_loc_or_where_it_was_inlined():
    line_of = origins(PTX, "k.cu")
    lines = {PTX[number - 1].strip(): of for number, of in line_of.items() if PTX[number - 1].strip()}
    assert lines["mov.b32 %r1, 1;"] == 3
    assert lines["not.b32 %r1, %r1;"] == 3  # behind the block of inline assembly
    assert lines["add.s32 %r2, %r2, 1;"] == 4
    assert lines["mul.lo.s32 %r2, %r2, 3;"] == 4  # through two calls of the header
    assert "add.s32 %r2, %r1, 1;" not in lines  # its caller is not known yet
    assert ".reg .b32 %r<3>;" not in lines  # not of the kernel before


def test_a_loc_of_a_header_without_a_caller_has_no_line():
    line_of = origins(PTX, "k.cu")
    [last] = [number for number, row in enumerate(PTX, 1) if row.strip() == "ret;" and number > 20]
    assert last not in line_of


def test_line_0_means_no_line():
    ptx = [row.replace(".loc 1 3 5", ".loc 1 0 5") for row in PTX]
    [line] = [number for number, row in enumerate(ptx, 1) if row.strip() == "not.b32 %r1, %r1;"]
    assert origins(PTX, "k.cu")[line] == 3
    assert line not in origins(ptx, "k.cu")


def test_the_lines_of_a_kernel_are_only_its_own_and_go_on_after_inline_assembly():
    shown = [PTX[number - 1].strip() for number in kernel_lines(PTX, "k")]
    assert shown[0] == ".visible .entry k("
    assert shown[-2:] == ["ret;", "}"]
    assert "mul.lo.s32 %r2, %r2, 3;" in shown
    assert not any(row.startswith(("//", ".loc")) or not row for row in shown)
    assert [PTX[number - 1].strip() for number in kernel_lines(PTX, "other")] == [
        ".visible .entry other()", "{", "ret;", "}",
    ]  # fmt: skip


def listing(*code, language="cuda", variant="cuda", sha="1", **changes):
    """Three lines of CUDA C: PTX lines 1, 2 are of 3, PTX line 3 is of 1. `code`: (text, line of the PTX)."""
    sass = tuple(MachineInstruction(16 * i, text, line=line) for i, (text, line) in enumerate(code))
    whole = Listing(
        variant, language, Path(f"k.{'cu' if language == 'cuda' else 'ptx'}"), "k", "sm_90",
        ("one", "two", "three") if language == "cuda" else (), (".entry k() {", "add", "ret;", "}"),
        {2: 3, 3: 1} if language == "cuda" else {}, sass,
        BuildReport(source_sha256="", ptx_sha256="", registers=8, sass_sha256=sha), True,
    )  # fmt: skip
    return dataclasses.replace(whole, **changes)


def executed(counts):
    return {line: {"ptx_warp_instructions": count} for line, count in counts.items()}


CODE = (("MOV R1, R2", 2), ("EXIT", 3), ("IADD3 R1, R1, R2, RZ", 2), ("NOP", None))


def test_executions_whose_number_is_unknown_are_not_shown():
    blocks = (BlockCount(0, 32, 7.0),)
    bounded = listing(*CODE, machine=Executed(14, 14, 14, blocks=blocks))
    assert [bounded.executions(instruction) for instruction in bounded.sass] == [7.0, 7.0, None, None]
    for machine in (None, Executed(blocks=blocks, reason="a loop")):
        unbounded = listing(*CODE, machine=machine)
        assert unbounded.executions(unbounded.sass[0]) is None


def test_the_greatest_difference_of_counts_comes_first():
    assert list(count_differences({"ADD": 1, "MOV": 5, "SEL": 2}, {"ADD": 3, "MOV": 4, "SEL": 2})) == ["ADD", "MOV"]


def test_each_line_is_shown_next_to_its_instructions():
    assert in_source_order(listing(*CODE)) == [
        ListingRow(None, 1, None),  # without a line of the CUDA C
        ListingRow(None, 4, None),
        ListingRow(None, None, 3),  # without a line of the PTX
        ListingRow(1, 3, 1),
        ListingRow(2, None, None),
        ListingRow(3, 2, 0),
        ListingRow(None, None, 2),
    ]


def test_without_the_ptx_sass_is_shown_next_to_the_cuda_line():
    rows = in_source_order(listing(*CODE), with_ptx=False)
    assert rows == [
        ListingRow(None, None, 3),
        ListingRow(1, None, 1),
        ListingRow(2),
        ListingRow(3, None, 0),
        ListingRow(None, None, 2),
    ]
    assert in_source_order(listing(*CODE), with_sass=False)[2:] == [ListingRow(1, 3), ListingRow(2), ListingRow(3, 2)]


def test_hand_written_ptx_shows_every_line_and_every_instruction_once():
    rows = in_source_order(listing(*CODE, language="ptx"))
    assert [row.ptx for row in rows if row.ptx] == [1, 2, 3, 4]
    assert sorted(row.sass for row in rows if row.sass is not None) == [0, 1, 2, 3]
    assert all(row.source is None for row in rows)


def test_each_instruction_in_machine_order_has_both_lines():
    assert in_machine_order(listing(*CODE)) == [
        ListingRow(3, 2, 0),
        ListingRow(1, 3, 1),
        ListingRow(3, 2, 2),
        ListingRow(None, None, 3),
    ]


def test_executed_lines_of_ptx_add_up_on_their_cuda_line():
    assert listing(*CODE, counted=executed({1: 7, 2: 10, 3: 5})).executed_source == {3: 10, 1: 5}
    assert listing(*CODE).executed_source is None


# text, the part that a comparison sees
NORMAL = [
    ("FFMA R15, R19.reuse, UR4, -R15", "FFMA R, R, UR, -R"),
    ("@!P0 BRA .L_x_12", "@!P BRA LABEL"),
    ("LDG.E.128 R12, desc[UR6][R2.64+0x10]", "LDG.E.128 R, desc[UR][R.64+0x10]"),  # an offset counts
    ("LDC.64 R2, c[0x0][0x218]", "LDC.64 R, c[0x0][0x218]"),  # and a parameter
    ("LOP3.LUT R9, RZ, R9, RZ, 0xB0, !PT", "LOP3.LUT R, RZ, R, RZ, 0xB0, !PT"),  # 0xB0 is not a barrier
    ("BSSY B0, .L_x_0", "BSSY B, LABEL"),
    ("S2R R0, SR_TID.X", "S2R R, SR_TID.X"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "seen"), NORMAL)
def test_only_registers_and_labels_are_ignored(text, seen):
    assert normal(text) == seen


def test_an_opcode_follows_its_guard():
    assert [opcode(text) for text in ("@!P0 BRA .L_x_1", "EXIT", "LDG.E R1, [R2]")] == ["BRA", "EXIT", "LDG.E"]


LEFT = (("MOV R1, 0x1", 2), ("LDG.E R2, [R4]", 2), ("FADD R1, R2, R3", 2), ("EXIT", 3))
RIGHT = (("LDG.E R9, [R8]", 2), ("FADD R7, R9, R1", 2), ("MOV R3, 0x1", 2), ("FMUL R1, R1, R1", 2), ("EXIT", 3))


def test_two_listings_have_equal_moved_and_differing_instructions():
    difference = compare(listing(*LEFT), listing(*RIGHT, variant="ptx", sha="2"))
    assert difference.equal == ((1, 0), (2, 1), (3, 4))
    assert difference.moved == ((0, 2),)
    assert (difference.only_left, difference.only_right) == (0, 1)
    assert difference.similarity == pytest.approx(8 / 9)
    assert difference.opcodes == {"FMUL": (0, 1)}
    assert not difference.same_mix
    assert not difference.same_code
    assert list(difference.rows()) == [
        (AlignedInstruction(0, MOVED, 2), None),
        (AlignedInstruction(1, EQUAL, 0), AlignedInstruction(0, EQUAL, 1)),
        (AlignedInstruction(2, EQUAL, 1), AlignedInstruction(1, EQUAL, 2)),
        (None, AlignedInstruction(2, MOVED, 0)),
        (None, AlignedInstruction(3, DIFFERS)),
        (AlignedInstruction(3, EQUAL, 4), AlignedInstruction(4, EQUAL, 3)),
    ]


def test_a_permutation_has_the_same_mix_and_no_instruction_without_a_partner():
    difference = compare(listing(*LEFT), listing(*LEFT[::-1], sha="2"))
    assert difference.same_mix
    assert difference.similarity == 1.0
    assert len(difference.equal) + len(difference.moved) == 4
    assert difference.moved


def test_an_instruction_has_one_partner_even_if_many_are_equal():
    difference = compare(listing(*LEFT[:1] * 3), listing(*LEFT[:1] * 2, sha="2"))
    assert (len(difference.equal), difference.moved, difference.only_left, difference.only_right) == (2, (), 1, 0)


def test_equal_instructions_are_the_same_code_only_if_their_hashes_are_equal():
    assert compare(listing(*LEFT), listing(*LEFT)).same_code
    assert not compare(listing(*LEFT), listing(*LEFT, sha="2")).same_code
    assert not compare(listing(*LEFT, sha=None), listing(*LEFT, sha=None)).same_code


def test_frequent_instructions_in_a_long_listing_are_aligned_too():
    many = [("MOV R1, R2", 2)] * 300
    difference = compare(listing(*many), listing(("EXIT", 3), *many))
    assert difference.equal == tuple((i, i + 1) for i in range(300))


def test_an_empty_listing_equals_only_an_empty_one():
    assert compare(listing(), listing()).similarity == 1.0
    assert compare(listing(*LEFT), listing()).similarity == 0.0


def test_the_document_has_links_in_both_directions():
    one = listing(*CODE, counted=executed({2: 10}))
    variant = describe_listing(one)
    assert variant["source_line_of_ptx_line"] == {"2": 3, "3": 1}
    links = [(instruction["ptx_line"], instruction["source_line"]) for instruction in variant["sass"]]
    assert links == [(2, 3), (3, 1), (2, 3), (None, None)]
    assert variant["executed"] == {"2": 10}
    assert describe_difference(compare(one, one))["equal"] == [[0, 0], [1, 1], [2, 2], [3, 3]]


def test_lines_are_counted_as_compilers_do():
    assert lines_of(b"a\r\nb\x0cc\n\xe9\n") == ("a", "b\x0cc", "\ufffd")
    assert lines_of(b"a") == ("a",)
