"""Loops of machine code, and the findings on them. No tool runs here."""

from ptxbench.executed import Executed
from ptxbench.listing.difference import compare
from ptxbench.listing.explanation import BRIEF, CodePlace, ExplainedPair, explain
from ptxbench.listing.explanation.loops import of_listing
from tests.listing.test_explanation import LOAD_ADD, code_of, listing, loop, ran


def test_a_loop_ends_at_its_backward_branch_and_has_as_many_rounds_as_executions():
    (only,) = of_listing(loop(*LOAD_ADD))
    assert (only.first, only.last, only.length, only.copies) == (0x10, 0x40, 4, 1)
    assert (only.turns, only.executed) == (100, 400)
    assert only.place == CodePlace("cuda", "cuda.ptx", 9, 9)
    (only,) = of_listing(loop(*LOAD_ADD * 4, rounds=25))
    assert (only.length, only.copies, only.turns, only.executed) == (10, 4, 25, 250)


def test_one_access_that_ptxas_split_does_not_make_a_loop_an_unrolled_one():
    split = [("LDG.E R1, [R2]", 3), ("LDG.E R4, [R2+0x4]", 3), ("LDG.E R5, [R6]", 4), ("STG.E [R7], R5", 5)]
    (only,) = of_listing(loop(*split))
    assert (only.length, only.copies, only.turns) == (6, 1, 100)


def test_outer_loops_forward_branches_and_code_that_did_not_run_are_not_loops():
    nested = listing(
        "cuda", ("NOP", 1, ".L_x_9"), ("NOP", 2, ".L_x_1"), ("@P0 BRA .L_x_1", 3), ("@P1 BRA .L_x_9", 4),
        ("@P1 BRA .L_x_5", 5), ("EXIT", 6, ".L_x_5"), machine=ran([2, 7, 7, 2, 1, 1]),
    )  # fmt: skip
    assert [(inner.length, inner.turns) for inner in of_listing(nested)] == [(2, 7)]
    assert of_listing(listing("cuda", ("NOP", 1, ".L_x_1"), ("BRA .L_x_1", 2))) == []
    assert of_listing(listing("cuda", ("NOP", 1, ".L_x_1"), ("BRA .L_x_1", 2), machine=ran([0, 0]))) == []
    assert of_listing(listing("cuda", ("NOP", 1, ".L_x_1"), ("BRA .L_x_1", 2), machine=Executed(reason="x"))) == []


def test_an_unrolled_loop_and_its_remainder_loop_are_two_loops():
    remainder = [("LDG.E R1, [R2]", 3, ".L_x_7"), ("FADD R3, R3, R1", 4), ("@P0 BRA .L_x_7", 9)]
    code = [*remainder, *code_of(*LOAD_ADD * 4)]
    result = of_listing(listing("cuda", *code, machine=ran([3] * 3 + [1] + [20] * 10 + [1])))
    assert [(loop_of_sass.length, loop_of_sass.copies, loop_of_sass.turns) for loop_of_sass in result] == [
        (10, 4, 20),
        (3, 1, 3),
    ]


def test_loops_with_few_executions_are_not_reported():
    def loop_kinds(outside):
        sides = (loop(*LOAD_ADD, rounds=9, outside=outside), loop(*LOAD_ADD * 2, rounds=9, outside=outside, name="ptx"))
        return {finding.kind for finding in explain(ExplainedPair(compare(*sides)))} & {"loops", "unrolling"}

    assert loop_kinds(1)
    assert not loop_kinds(1_000)


def test_loops_with_another_length_or_unroll_factor_are_reported():
    more = [("MOV R9, 0x1", 5), ("MOV R8, 0x2", 6)]
    findings = {
        finding.kind: finding
        for finding in explain(ExplainedPair(compare(loop(*LOAD_ADD, *more), loop(*LOAD_ADD, name="ptx"))))
    }
    assert findings["loops"].text == (
        "In loops warps execute 33 % fewer machine instructions in ptx. The hottest: "
        "cuda 6 instructions a round, 100 rounds (cuda.ptx:9); ptx 4 instructions a round, 100 rounds (ptx.ptx:9)."
    )
    assert findings["loops"].figures["instructions a round"] == {"cuda": 6, "ptx": 4}
    assert len(findings["loops"].line) <= BRIEF
    unrolled = loop(*LOAD_ADD * 4, rounds=25, name="ptx")
    findings = {finding.kind: finding for finding in explain(ExplainedPair(compare(loop(*LOAD_ADD), unrolled)))}
    assert "ptx 10 instructions a round, 25 rounds (ptx.ptx:9, which ptxas unrolled by 4)" in findings["unrolling"].text
    assert findings["unrolling"].figures["unrolled by ptxas"] == {"cuda": 1, "ptx": 4}
    assert not {"loops", "unrolling"} & {
        finding.kind for finding in explain(ExplainedPair(compare(loop(*LOAD_ADD), loop(*LOAD_ADD, name="ptx"))))
    }
