"""The loops and the branches of a kernel's PTX, by line."""

import pytest

from ptxbench.emulator.parse import parsed
from ptxbench.executed.paths import Paths

NESTED = """.version 8.0
.target sm_90
.address_size 64
.visible .entry k(.param .u32 n) {
    .reg .u32 %i<4>, %n; .reg .pred %p, %q;
OUTER:
    add.u32 %i0, %i0, 1;
    @%q add.u32 %i0, %i0, 2;
    mov.u32 %i1, 0; mov.u32 %i2, 0;
INNER:
    add.u32 %i1, %i1, 1;
    setp.lt.u32 %p, %i1, %i0;
    @%p bra INNER;
    add.u32 %i2, %i2, 1;
    @%q bra SKIP;
    add.u32 %i3, %i3, 1;
SKIP:
    @%q ret;
    setp.lt.u32 %p, %i0, %n;
    @%p bra OUTER;
    mov.u32 %i3, 0;
}
"""


@pytest.fixture
def paths():
    return Paths(parsed(NESTED).entries["k"])


def test_a_loop_has_the_lines_of_each_trip_without_those_of_inner_loops_and_guards(paths):
    inner, outer = sorted(paths.loops, key=lambda loop: loop.line)
    assert (inner.line, inner.once, inner.body, inner.exits) == (13, {11, 12}, {11, 12, 13}, {13})
    assert (outer.line, outer.once, outer.exits) == (20, {7, 14, 19}, {18, 20})
    assert outer.body == {7, 8, 9, 11, 12, 13, 14, 15, 16, 18, 19, 20}


def test_a_branch_that_does_not_lead_back_has_two_sides(paths):
    assert set(paths.branches) == {15}
    taken, not_taken = paths.sides(15)
    assert not_taken == {16}
    assert not taken & not_taken


TABLE = NESTED.replace("    @%p bra INNER;\n", "    TABLE: .branchtargets INNER, SKIP;\n    brx.idx %i1, TABLE;\n")


def test_a_branch_by_a_table_leads_to_each_of_its_targets():
    paths = Paths(parsed(TABLE).entries["k"])
    code = paths.function.instructions
    [index] = [at for at, instruction in enumerate(code) if instruction.opcode.startswith("brx")]
    assert [code[at].line for at in paths.successors[index]] == [11, 19]
    assert paths.successors[-1] == ()
