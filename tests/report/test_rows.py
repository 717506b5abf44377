"""A listing as rows: neighbours are partners by the assemblers' line information, and no line is lost."""

import dataclasses
import re

import pytest

from ptxbench import toolchain
from ptxbench.discovery import default_kernels, load
from ptxbench.listing.text import Listing, make
from ptxbench.report.pairs import shown_listings
from ptxbench.report.rows import TALL, LineGroup, PageCell, PageRow, rows, squeezed, units
from ptxbench.result import BuildReport
from ptxbench.toolchain.lines import MachineInstruction, annotate
from tests.folders import changed

SHIPPED = [
    ("triad", "cuda"),
    ("triad", "ptx"),
    ("softmax", "cuda"),
    ("softmax", "cuda@fast"),
    ("scatter_add_bf16", "ptx"),
]


@pytest.fixture
def shipped():
    """The listing of a shipped pair's variant."""

    def listing(pair, variant):
        [source] = [source for source in load(default_kernels(), pair).sources if source.variant == variant]
        build = toolchain.build_source(source, "sm_90")
        return make(build, build.source.read_bytes(), annotate(build))

    return listing


@pytest.mark.parametrize(("pair", "variant"), SHIPPED)
def test_every_line_is_shown_once_next_to_its_partners(shipped, pair, variant):
    listing = shipped(pair, variant)
    groups = units(listing)
    assert sorted(index for unit in groups for index in unit.sass) == list(range(len(listing.sass)))
    linked = {instruction.line for instruction in listing.sass} | set(listing.origin)
    lines = [line for unit in groups for line in unit.ptx]
    assert len(lines) == len(set(lines))
    assert set(lines) >= (set(listing.ptx_shown) & linked if variant.startswith("cuda") else set(listing.ptx_shown))
    assert sorted({line for unit in groups for line in unit.source}) == list(range(1, len(listing.source) + 1))
    for unit in groups:
        assert {listing.sass[index].line for index in unit.sass} <= {*unit.ptx, None} or not unit.ptx
        assert {listing.origin.get(line) for line in unit.ptx} <= {unit.source[0] if unit.source else None}
        assert {listing.line_of(listing.sass[index]) for index in unit.sass} <= {
            unit.source[0] if unit.source else None
        }
        assert len(unit.ptx) == 1 or not unit.sass or not unit.ptx


NUMBERED = [
    ("softmax", "cuda.divides", "cuda"),
    ("softmax", "cuda@fast", "cuda"),
    ("softmax", "cuda", None),
    ("scatter_add_bf16", "ptx.narrow", "ptx"),
    ("scatter_add_bf16", "ptx", None),
]
"""A pair, a variant, and the variant that it is compared with."""


@pytest.mark.parametrize(("pair", "variant", "base"), NUMBERED)
def test_numbers_continue_after_omitted_rows(shipped, pair, variant, base):
    listing = shipped(pair, variant)
    result = rows(listing, base and shipped(pair, base))
    assert bool(base) == any(row.elided and not row.period for row in result)
    assert sum(row.elided or 1 for row in result) == len(units(listing))
    lines, columns = (listing.source, 3) if listing.source else (listing.ptx, 2)
    number = 1
    for cell in (row.cells[0] for row in result if len(row.cells) == columns):
        if cell.text:
            number += cell.skip
            expected = lines[number - 1 : number - 1 + cell.lines]
            assert blank(cell.text) == blank("".join(expected))
            number += cell.lines


def test_a_line_of_cuda_c_spans_its_own_rows_and_none_after_an_omitted_one(shipped):
    left = 0
    for row in rows(shipped("softmax", "cuda@fast"), shipped("softmax", "cuda")):
        assert (left == 0) == (bool(row.elided) or len(row.cells) == 3)
        left += 0 if row.elided else (row.cells[0].rows if left == 0 else 0) - 1
    assert left == 0


def blank(text):
    """The text without alignment."""
    return re.sub(r"\s", "", text)


def small(ptx, sass, variant="ptx"):
    """A listing of handwritten PTX with instructions of these lines."""
    code = tuple(MachineInstruction(16 * i, text, (), line) for i, (text, line) in enumerate(sass))
    return Listing(variant, "ptx", None, "k", "sm_90", (), tuple(ptx), {}, code, BuildReport("s", "p"), True)


def texts(rows_of_page):
    return [row.elided or tuple(cell.text for cell in row.cells) for row in rows_of_page]


PTX = ["// k", "add.u32     %a, %b, 1;", "", "// then", "ret;"]
SASS = [("IADD3 R1, R2, 0x1, RZ", 2), ("EXIT", 5), ("MOV R1, c[0x0][0x28]", None), ("IADD3 R3, R2.reuse, 0x1, RZ", 2)]


def test_lines_without_machine_code_share_a_row_and_broken_order_shows_positions():
    assert texts(rows(small(PTX, SASS))) == [
        ("// k", ""),
        ("add.u32 %a,%b,1;", "0\tIADD3 R1,R2,0x1,RZ\n3\tIADD3 R3,R2,0x1,RZ"),
        ("\n// then", ""),
        ("ret;", "1\tEXIT"),
        ("", "\tMOV R1,c[0x0][0x28]"),
    ]


def test_an_instruction_that_is_branched_to_has_its_label():
    listing = small(PTX, SASS)
    labelled = dataclasses.replace(listing.sass[1], labels=(".L_1", ".L_2"))
    shown = texts(rows(dataclasses.replace(listing, sass=(listing.sass[0], labelled, *listing.sass[2:]))))
    assert shown[3] == ("ret;", "1\t.L_1: .L_2: EXIT")


def test_rows_that_equal_those_of_another_listing_except_for_registers_are_left_out():
    other = small(
        [changed(line, "1;", "2;") if "add" in line else line for line in PTX],
        [("IADD3 R9, R8, 0x2, RZ", 2), *SASS[1:3]],
        "ptx.other",
    )
    assert texts(rows(other, small(PTX, SASS))) == [
        ("// k", ""),
        ("add.u32 %a,%b,2;", "0\tIADD3 R9,R8,0x2,RZ"),
        3,
    ]
    renamed = small(PTX, [(text.replace("R2", "R7"), line) for text, line in SASS], "ptx.renamed")
    assert rows(renamed, small(PTX, SASS)) == [PageRow(elided=5)]


def unrolled(*lines):
    """A listing of hand-written PTX; each line but a comment is one multiply-add, in the registers that it names."""
    texts = [line if line.startswith("//") else f"fma.rn.f32 %c_{line}, %a, %b, {line.split()[-1]};" for line in lines]
    code = [(f"FFMA R{10 + i}, R1, R2, {lines[i].split()[-1]}", i + 1)
            for i in range(len(lines)) if not lines[i].startswith("//")]  # fmt: skip
    return small(texts, code)


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (["0 %c"] * 8, [1, (7, 1)]),                              # the first, and seven in other registers
        (["0 %c"] * 6, [6]),                                      # too few
        (["0 1.0", "1 2.0"] * 4, [2, (6, 2)]),                    # a period of two
        ([*["0 1.0", "1 2.0"] * 4, "2 1.0"], [2, (6, 2), 1]),     # the rest of it is shown
        (["0 1.0", "1 2.0", "2 1.0", "3 2.0", "// c", *["0 1.0"] * 7], [6, (6, 1)]),    # a comment is never left out
        ([f"{i} {i}.0" for i in range(9)], [9]),                  # immediates differ
    ],
)  # fmt: skip
def test_rows_that_repeat_those_above_in_other_registers_are_left_out(lines, shown):
    listing = unrolled(*lines)
    result = rows(listing)
    elided = [(row.elided, row.period) if row.elided else 1 for row in result]
    expected = [entry for part in shown for entry in ([1] * part if isinstance(part, int) else [part])]
    assert elided == expected
    assert sum(row.elided or 1 for row in result) == len(units(listing))


def test_a_variant_is_shown_relative_to_the_most_similar_one_before_it():
    other = [changed(line, "1;", "2;") if "add" in line else line for line in PTX]
    code = [("MOV R9, R8", 2), ("FADD R1, R1, R1", 5)]
    views = list(shown_listings([small(PTX, SASS), small(other, code, "ptx.a"), small(other, code, "ptx.b"),
                        small(PTX, SASS, "ptx.c")]))  # fmt: skip
    assert [view.base for view in views][2:] == ["ptx.a", "ptx"]


def test_an_empty_cell_is_never_tall_because_it_would_get_a_number_and_shift_the_others():
    assert PageCell("int n;", 1, rows=TALL).tall
    assert not PageCell("", 0, rows=TALL).tall
    assert not PageCell("int n;", 1, rows=TALL - 1).tall


def test_an_instruction_without_a_line_is_not_paired_with_the_line_before_it():
    listing = small(["ret;"], [("EXIT", 1), ("NOP", None)])
    assert units(listing) == [LineGroup((), (1,), (0,)), LineGroup((), (), (1,))]
    assert units(dataclasses.replace(listing, sass=listing.sass[:1])) == [LineGroup((), (1,), (0,))]


# a line of PTX, the shown part
SQUEEZED = [
    ("    mov.u32     %thread, %tid.x;", "mov.u32 %thread,%tid.x;"),
    ("    st.u32  [%a], %b;   // a,  b, c", "st.u32 [%a],%b; // a,  b, c"),    # a comment stays as it is
    ('\t.file\t1 "a, b  c.cu"', '.file\t1 "a, b  c.cu"'),                        # and so does a string
    ("// ----  x", "// ----  x"),
    ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("line", "shown"), SQUEEZED)
def test_alignment_spaces_are_removed(line, shown):
    assert squeezed(line) == shown
    assert re.sub(r"\s", "", squeezed(line)) == re.sub(r"\s", "", line)
