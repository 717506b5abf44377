"""What the counts of a PTX line say about the machine instructions that have it, and which way a branch went."""

import math
from dataclasses import replace

import pytest

from ptxbench.emulator.parse import parsed
from ptxbench.executed.graph import graph
from ptxbench.executed.ptx import PtxLines
from ptxbench.executed.terms import anchors, likely_sums, upper_bounds
from ptxbench.toolchain.lines import MachineInstruction

KERNEL = """.version 8.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 address)
{{
    .reg .u64 %at; .reg .f32 %f<4>; .reg .b32 %a<4>; .reg .pred %p;
    .shared .align 16 .b8 kept[64];
    {statement}
DONE:
    ret;
}}
"""
LINE = 8
"""Of the statement."""


def lines_of(statement, **counts):
    """The lines of a kernel, of which the statement has these counts."""
    counted = {LINE: {f"ptx_{name}": count for name, count in counts.items()}}
    return PtxLines(parsed(KERNEL.format(statement=statement)), "k", counted)


def machine(*texts):
    """Machine code in which every instruction but the last is of the statement's line."""
    code = [MachineInstruction(16 * at, text, line=LINE) for at, text in enumerate(texts)]
    return graph([*code, MachineInstruction(16 * len(code), "EXIT", line=LINE + 2)])


LOAD, STORE = "ld.global.f32 %f0, [%at];", "st.global.f32 [%at], %f0;"
MMA = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f0, %f1, %f2, %f3}, {%a0, %a1, %a2, %a3}, {%a0, %a1}, " \
      "{%f0, %f1, %f2, %f3};"  # fmt: skip
VECTOR = "ld.global.v4.f32 {%f0, %f1, %f2, %f3}, [%at];"
PAIRS = "ld.global.v2.f16x2 {%a0, %a1}, [%at];"
GUARDED = f"@%p {LOAD}"

# the PTX statement, its counts, the machine code; the least, the most and the likeliest sum of executions
ANCHORS = [
    (LOAD,    {}, ["LDG.E R0, [R2]"],                          (10, 10, 10)),
    (LOAD,    {}, ["LDG.E R0, [R2]", "LDG.E R1, [R2]"],        (10, 10, 10)),      # two copies share them
    (LOAD,    {}, ["LDG.E.128 R0, [R2]"],                      (2.5, 10, 2.5)),    # up to four loads as one
    (VECTOR,  {}, ["LDG.E.128 R0, [R2]"],                      (10, 10, 10)),
    (VECTOR,  {}, ["LDG.E R0, [R2]"],                          (40, 40, 40)),      # one as four
    (PAIRS,   {}, ["LDG.E.64 R0, [R2]"],                       (10, 10, 10)),
    ("ld.global.u8 %a0, [%at];", {}, ["LDG.E.U8 R0, [R2]"],    (10, 10, 10)),
    ("ld.global.b16 %a0, [%at];", {}, ["LDG.E.U16 R0, [R2]"],  (10, 10, 10)),
    (STORE,   {}, ["@P0 STG.E [R2], R0"],                      (10, math.inf, 10)),    # if the PTX branches
    (STORE,   {}, ["@UP0 STG.E [R2], R0"],                     (10, 10, 10)),          # whole warps
    (GUARDED, {"global_load_requests": 4}, ["LDG.E R0, [R2]"],      (4, 4, 4)),        # behind a branch
    (GUARDED, {"global_load_requests": 4}, ["@P0 LDG.E R0, [R2]"],  (4, math.inf, 10)),
    ("@%p bar.sync 0;", {"thread_instructions_on": 65}, ["BAR.SYNC R0"], (3, 10, 10)),   # three warps at least
    (MMA,     {}, ["HMMA.16816.F32 R0, R4, R8, R0"],           (10, 10, 10)),
    (MMA,     {}, ["HMMA.1688.F32 R0, R4, R8, R0"],            (20, 20, 20)),
    ("atom.global.add.u32 %a0, [%at], 1;", {}, ["ATOMG.E.ADD R0, [R2], R1"], (10, 10, 10)),
    ("atom.shared.add.u32 %a0, [kept], 1;", {"atomic_shared_requests": 10}, ["ATOMS.ADD R0, [R2], R1"], (10, 10, 10)),
    ("atom.add.u32 %a0, [%at], 1;", {"atomic_shared_requests": 3}, ["ATOM.E.ADD R0, [R2], R1"], (7, 10, 10)),
    ("atom.add.u32 %a0, [%at], 1;", {"atomic_shared_requests": 10}, ["ATOM.E.ADD R0, [R2], R1"], (0, 0, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "counts", "code", "expected"), ANCHORS)
def test_an_anchor_runs_as_often_as_the_counts_of_its_line_say(statement, counts, code, expected):
    lines = lines_of(statement, warp_instructions=10, **counts)
    [term] = anchors(machine(*code), lines)
    assert (term.low, term.high, term.target) == expected
    assert (term.line, sum(term.blocks.values())) == (LINE, len(code))


def test_a_load_may_be_in_the_machine_instruction_of_another_line():
    lines = lines_of(f"{LOAD}\n    {LOAD}", warp_instructions=10)
    lines = replace(lines, counted=dict.fromkeys((LINE, LINE + 1), lines.counted[LINE]))
    code = [
        MachineInstruction(0, "LDG.E.64 R0, [R2]", line=LINE),
        MachineInstruction(16, "LDG.E R4, [R6]", line=LINE + 1),
    ]
    terms = anchors(graph([*code, MachineInstruction(32, "EXIT")]), lines)
    assert {term.line: (term.low, term.high, term.target) for term in terms} == {
        LINE: (5, 10, 5),
        LINE + 1: (0, 10, 10),
    }


# what is no anchor of the line
NONE = [
    (LOAD, ["@!PT LDS RZ, [RZ]"]),                                             # padding
    (LOAD, ["STG.E [R2], R0"]),                                                # of another family
    ("atom.global.add.f32 %f0, [%at], %f1;", ["ATOMG.E.CAS R0, [R2], R1, R4"]),  # ptxas retries it
    ("mov.b32 %a0, %a1;", ["MOV R0, R1"]),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "code"), NONE)
def test_other_instructions_of_a_line_are_no_anchors(statement, code):
    assert list(anchors(machine(*code), lines_of(statement, warp_instructions=10))) == []


def test_copies_of_another_line_probably_share_its_executions_and_bound_their_block():
    lines = lines_of("add.s32 %a0, %a1, %a2;", warp_instructions=10)
    built = machine("IADD3 R0, R1, R2, RZ", "MOV R3, R4")
    [likely] = [term for term in likely_sums(built, lines) if term.line == LINE]
    assert (likely.low, likely.high, likely.target, dict(likely.blocks)) == (0, math.inf, 10, {0: 1})
    assert list(upper_bounds(built, lines)) == []  # the first block has every warp


# the counts of a branch: executions, lanes, lanes that take it, whether lanes diverged; how often it was taken, or not
WAYS = [
    ((10, 320, 0, 0),   (0, 10)),
    ((10, 320, 320, 0), (10, 0)),
    ((10, 320, 96, 0),  (3, 7)),
    ((10, 320, 96, 1),  None),    # lanes diverged
    ((10, 320, 100, 0), None),    # not whole warps
    ((10, 310, 96, 0),  None),    # some warps had fewer lanes
    ((10, 310, 310, 0), (10, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("counts", "ways"), WAYS)
def test_how_often_a_branch_was_taken_is_known_for_whole_warps(counts, ways):
    names = ("warp_instructions", "thread_instructions", "thread_instructions_on", "divergent_branches")
    assert lines_of("@%p bra DONE;", **dict(zip(names, counts, strict=True))).ways(LINE) == ways
    assert lines_of("@%p bra DONE; mov.b32 %a0, 1;", warp_instructions=10).ways(LINE) is None  # two statements
