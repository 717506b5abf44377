"""Listings as a terminal shows them: whole, at three widths, with and without colours."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ptxbench.executed import BlockCount, Executed
from ptxbench.listing.difference import compare
from ptxbench.listing.explanation import ExplainedPair
from ptxbench.listing.text import Listing
from ptxbench.result import BuildReport
from ptxbench.terminal.listing import DifferenceView, Findings, ListingView
from ptxbench.toolchain.lines import MachineInstruction
from ptxbench.wording.machine import OTHER_MACHINE_CODE

CUDA = Listing(
    "cuda", "cuda", Path("k.cu"), "k", "sm_90",
    ("// k", '__global__ void k(int* a)', "{", "\ta[0] = 1;", "}"),
    (".visible .entry k(", ".param .u64 k_param_0", ")", "{", "ld.param.u64 \t%rd1, [k_param_0];",
     "mov.b32 \t%r1, 1;", "st.global.u32 \t[%rd1], %r1;  // here", "ret;", "}"),
    {5: 2, 6: 4, 7: 4, 8: 5},
    (
        MachineInstruction(0x00, "LDC.64 R2, c[0x0][0x210]", line=7, live=3),
        MachineInstruction(0x10, "MOV R5, 0x1", line=6, live=4),
        MachineInstruction(0x20, "STG.E desc[UR4][R2.64], R5", (".L_x_0",), 7, 1),
        MachineInstruction(0x30, "EXIT", (), 8, 0),
    ),
    BuildReport(source_sha256="", ptx_sha256="", registers=8, sass_sha256="a"), True,
    {line: {"ptx_warp_instructions": count} for line, count in ((5, 8), (6, 8), (7, 1000), (8, 8))},
)  # fmt: skip
PTX = Listing(
    "ptx", "ptx", Path("k.ptx"), "k", "sm_90", (), (".visible .entry k(", "mov.b32      %r, 1;", "ret;", "}"), {},
    (
        MachineInstruction(0x00, "MOV R3, 0x1", line=2),
        MachineInstruction(0x10, "LDC.64 R4, c[0x0][0x210]", line=2),
        MachineInstruction(0x20, "STG.E desc[UR6][R4.64], R3", line=2),
        MachineInstruction(0x30, "NOP", line=3),
        MachineInstruction(0x40, "EXIT", line=3),
    ),
    BuildReport(source_sha256="", ptx_sha256="", registers=6, sass_sha256="b"), True,
)  # fmt: skip


def printed(view, width=100, **console):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, **{"no_color": True, **console}).print(view)
    return out.getvalue()


def test_source_and_sass_are_shown_line_by_line():
    assert (
        printed(ListingView(CUDA))
        == """\
cuda  k.cu  sm_90, 4 SASS instructions, 8 registers

executed     CUDA C                     live        SASS
          1  // k
       8  2  __global__ void k(int* a)
          3  {
   1,008  4      a[0] = 1;                 3  0000  LDC.64 R2, c[0x0][0x210]
                                           4  0010  MOV R5, 0x1
                                           1  0020  .L_x_0: STG.E desc[UR4][R2.64], R5
       8  5  }                             0  0030  EXIT
"""
    )


def test_many_lines_without_instructions_are_one_row():
    """A licence at the start, a comment in the kernel, host code at the end."""
    before, between, after = (tuple(f"// {word} {i}" for i in range(1, 26)) for word in ("head", "middle", "host"))
    source = (*before, CUDA.source[1], *between, *CUDA.source[3:], *after)
    origin = {5: 26, 6: 52, 7: 52, 8: 53}
    counted = {line: {"ptx_warp_instructions": 8} for line in origin}
    listing = replace(CUDA, source=source, origin=origin, counted=counted)
    rows = [line[10:30].rstrip() for line in printed(ListingView(listing)).splitlines()[3:]]
    assert rows == [
        "    … lines 1-17: no",
        *(f"{i:2}  // head {i}" for i in range(18, 26)),
        "26  __global__ void",
        *(f"{26 + i:2}  // middle {i}" for i in (1, 2, 3)),
        "    … lines 30-43: n",
        *(f"{26 + i:2}  // middle {i}" for i in range(18, 26)),
        "52      a[0] = 1;",
        *[""] * 2,
        "53  }",
        *(f"{53 + i:2}  // host {i}" for i in (1, 2, 3)),
        "    … lines 57-78: n",
    ]
    with_line = replace(listing, origin={**origin, 9: 60}, sass=listing.sass[:1])
    text = printed(ListingView(with_line))
    assert "60  // host 7" in text  # with PTX, although no SASS is from it
    assert "lines 57-59" not in text  # too few


def test_on_a_wide_terminal_the_ptx_is_shown_between_them():
    plain = replace(CUDA, counted=None, sass=tuple(replace(instruction, live=None) for instruction in CUDA.sass))
    text = printed(ListingView(plain), 140)
    assert (
        text
        == """\
cuda  k.cu  sm_90, 4 SASS instructions, 8 registers

   CUDA C                        PTX                                          SASS
                              1  .visible .entry k(
                              2  .param .u64 k_param_0
                              3  )
                              4  {
                              9  }
1  // k
2  __global__ void k(int* a)  5  ld.param.u64    %rd1, [k_param_0];
3  {
4      a[0] = 1;              6  mov.b32     %r1, 1;                    0010  MOV R5, 0x1
                              7  st.global.u32   [%rd1], %r1;  // here  0000  LDC.64 R2, c[0x0][0x210]
                                                                        0020  .L_x_0: STG.E desc[UR4][R2.64], R5
5  }                          8  ret;                                   0030  EXIT
"""
    )


def test_machine_order_shows_the_lines_next_to_it_and_no_counts():
    assert (
        printed(ListingView(CUDA, "sass"))
        == """\
cuda  k.cu  sm_90, 4 SASS instructions, 8 registers

live        SASS                                   CUDA C
   3  0000  LDC.64 R2, c[0x0][0x210]            4      a[0] = 1;
   4  0010  MOV R5, 0x1                         4      a[0] = 1;
   1  0020  .L_x_0: STG.E desc[UR4][R2.64], R5  4      a[0] = 1;
   0  0030  EXIT                                5  }
"""
    )


EXECUTED = Executed(2032, 2032, 2032, True, blocks=(BlockCount(0, 0x20, 8.0), BlockCount(0x20, 0x40, 1008.0)))


def test_executions_are_shown_at_each_instruction_and_below_the_listing():
    text = printed(ListingView(replace(CUDA, machine=EXECUTED), "sass"))
    assert text.splitlines()[2:] == [
        "executed  live        SASS                                   CUDA C",
        "       8     3  0000  LDC.64 R2, c[0x0][0x210]            4      a[0] = 1;",
        "       8     4  0010  MOV R5, 0x1                         4      a[0] = 1;",
        "   1,008     1  0020  .L_x_0: STG.E desc[UR4][R2.64], R5  4      a[0] = 1;",
        "   1,008     0  0030  EXIT                                5  }",
        "",
        "Warps execute 2,032 machine instructions.",
    ]
    assert "2,032" not in printed(ListingView(replace(CUDA, machine=EXECUTED), "sass", counts=False))


def test_likely_values_are_marked_and_unknown_values_have_a_reason():
    wide = replace(EXECUTED, most=4096, reason="lanes part")
    text = printed(ListingView(replace(CUDA, machine=wide), "sass"))
    assert "  ~1,008     1  0020" in text
    assert "Warps execute 2,032 to 4,096 machine instructions: lanes part." in text
    assert "The most likely number is 2,032." in text
    half = replace(EXECUTED, blocks=(BlockCount(0, 0x20, 8.4), BlockCount(0x20, 0x40, 1008.0)))
    assert "      ~8     3  0000" in printed(ListingView(replace(CUDA, machine=half), "sass"))
    text = printed(ListingView(replace(CUDA, machine=Executed(reason="it spins")), "sass"))
    assert text.splitlines()[2].split() == ["live", "SASS", "CUDA", "C"]
    assert text.endswith("It is not known how many machine instructions warps execute: it spins.\n")


def test_the_loops_with_most_executions_are_named():
    code = (
        MachineInstruction(0, "NOP"), MachineInstruction(16, "LDG.E R1", (".L_x_1",), 6),
        MachineInstruction(32, "LDG.E R2", (), 6),
        MachineInstruction(48, "@P0 BRA .L_x_1", (), 7), MachineInstruction(64, "EXIT"),
    )  # fmt: skip
    blocks = (BlockCount(0, 16, 1.0), BlockCount(16, 64, 30.0), BlockCount(64, 80, 1.0))
    listing = replace(CUDA, sass=code, machine=Executed(92, 92, 92, True, blocks=blocks))
    assert printed(ListingView(listing, "sass")).endswith(
        "Loop 0010 to 0030: 3 instructions, unrolled by 2, 30 rounds, 90 executed (98 %).\n"
    )


def test_two_listings_are_shown_side_by_side_with_marks_and_a_summary():
    assert (
        printed(DifferenceView(compare(CUDA, PTX)), 80)
        == """\
cuda  k.cu  sm_90, 4 SASS instructions, 8 registers
ptx  k.ptx  sm_90, 5 SASS instructions, 6 registers

      cuda                                            ptx
                                             ~  0000  MOV R3, 0x1
0000  LDC.64 R2, c[0x0][0x210]            =  =  0010  LDC.64 R4, c[0x0][0x210]
0010  MOV R5, 0x1                         ~
0020  .L_x_0: STG.E desc[UR4][R2.64], R5  =  =  0020  STG.E desc[UR6][R4.64], R3
                                             !  0030  NOP
0030  EXIT                                =  =  0040  EXIT

Similarity 88.9 %: 3 equal, 1 moved, 0 in cuda alone, 1 in ptx alone.
Opcodes that differ, cuda/ptx: NOP 0/1.
= equal, ~ moved, ! without a partner; registers and labels aside.
"""
    )


def test_the_same_machine_code_is_reported():
    text = printed(DifferenceView(compare(PTX, PTX)))
    assert "Same machine code, to the bit.\n" in text
    assert "Same instruction mix: every opcode as often on both sides.\n" in text


def test_differences_are_sentences_no_wider_than_a_table():
    assert printed(Findings([ExplainedPair(compare(CUDA, PTX))]), 60).splitlines() == [
        "ptx against cuda",
        "- ptx has 5 SASS instructions, cuda 4: 25 % more. Most of it",
        "  is NOP 0 to 1.",
        "- ptx needs 6 registers, cuda 8.",
    ]


@pytest.mark.parametrize("width", [40, 80, 100, 160])
@pytest.mark.parametrize("view", ["auto", "side by side", "ptx", "sass"])
def test_no_line_is_wrapped_or_wider_than_the_terminal(view, width):
    rows = printed(ListingView(CUDA, view), width).splitlines()
    assert max(map(len, rows)) <= width
    assert len(rows) <= 3 + len(CUDA.source) + len(CUDA.ptx) + len(CUDA.sass)  # a wrapped row would be two


def test_a_long_line_ends_in_an_ellipsis_and_does_not_move_the_next_column():
    rows = printed(ListingView(CUDA, "side by side"), 80).splitlines()
    [load] = [line for line in rows if "ld.param" in line]
    [store] = [line for line in rows if "STG" in line]
    assert load == "       8  2  __global__…          8  5  ld.param.u64…"
    assert store == "                                                          1  0020  .L_x_0: STG.…"
    assert "…" not in printed(ListingView(CUDA, "side by side"), 160)


CUT = [
    ListingView(CUDA),
    ListingView(CUDA, "side by side"),
    ListingView(CUDA, "sass"),
    DifferenceView(compare(CUDA, PTX)),
]


@pytest.mark.parametrize("view", CUT, ids=["auto", "side by side", "sass", "difference"])
def test_rows_that_are_cut_are_counted_with_the_width_that_shows_them(view):
    """At that width nothing is cut, and at one column less something is."""
    cut = re.compile(r"(\d+) rows? ends? in …, cut to 60 columns: COLUMNS=(\d+) shows all of it\.")
    text = printed(view, 60)
    [(rows, needed)] = cut.findall(" ".join(text.split()))
    assert int(rows) == sum("…" in line for line in text.splitlines() if "…," not in line)
    assert "…" not in printed(view, int(needed))
    assert "…" in printed(view, int(needed) - 1)


def test_colours_follow_the_languages_and_are_off_on_request():
    coloured = {"no_color": False, "force_terminal": True, "color_system": "standard"}
    text = printed(ListingView(CUDA), 160, **coloured)
    assert "\x1b[94mSTG.E\x1b[0m" in text
    assert "\x1b[94mst.global.u32\x1b[0m" in text
    assert "\x1b[36m%rd1\x1b[0m" in text
    assert "\x1b[36mR5\x1b[0m" in text
    assert "\x1b[33m.L_x_0\x1b[0m" in text
    assert "\x1b[94m__global__\x1b[0m" in text
    assert "\x1b[" not in printed(ListingView(CUDA), 160)


def test_equal_lines_are_dimmed_and_differing_lines_are_not():
    coloured = {"no_color": False, "force_terminal": True, "color_system": "standard"}
    rows = printed(DifferenceView(compare(CUDA, PTX)), 100, **coloured).splitlines()
    (equal,) = [line for line in rows if "EXIT" in line]
    (moved, other) = [line for line in rows if "MOV" in line]
    assert equal.count("\x1b[2;94mEXIT") == 2
    assert "\x1b[33m~" in moved + other
    assert "\x1b[94mMOV" in moved
    (differs,) = [line for line in rows if "NOP" in line and "differ" not in line]
    assert "\x1b[1;31m!" in differs
    assert "\x1b[94mNOP" in differs


def test_a_listing_of_other_code_than_is_timed_has_a_note():
    other = replace(PTX, same_code=False)
    assert OTHER_MACHINE_CODE in " ".join(printed(ListingView(other)).split())
    assert OTHER_MACHINE_CODE not in printed(ListingView(PTX), 200)
