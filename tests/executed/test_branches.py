"""Which way warps went at a machine branch, from the lanes that took the branch of the PTX."""

import pytest

from ptxbench.emulator.parse import parsed
from ptxbench.executed import branches
from ptxbench.executed.flow import Flow
from ptxbench.executed.graph import graph
from ptxbench.executed.paths import Paths
from ptxbench.executed.ptx import PtxLines
from ptxbench.toolchain.lines import MachineInstruction

TEXT = """.version 8.0
.target sm_90
.address_size 64
.visible .entry k() {
    .reg .u32 %a; .reg .pred %p;
    @%p bra TAKEN;
    mov.u32 %a, 1;
    bra JOIN;
TAKEN:
    mov.u32 %a, 2;
JOIN:
    ret;
}
"""
BRANCH, NOT_TAKEN, TAKEN, END = 6, 7, 10, 12


def machine(branch, first, second):
    """A branch around instructions of the line `first`, to those of `second`."""
    lines = [(branch, BRANCH), ("MOV R1, 0x1", first), ("BRA .L_x_1", first), ("MOV R1, 0x2", second), ("EXIT", END)]
    labels = {3: (".L_x_0",), 4: (".L_x_1",)}
    return graph([MachineInstruction(16 * at, text, labels.get(at, ()), line) for at, (text, line) in enumerate(lines)])


def counts(lanes_on, divergent=0):
    return {
        BRANCH: {
            "ptx_warp_instructions": 10, "ptx_thread_instructions": 320, "ptx_thread_instructions_on": lanes_on,
            "ptx_divergent_branches": divergent,
        }
    }  # fmt: skip


def rows(built, lanes_on=96, divergent=0):
    """The executions of the branch, of the way behind it, and of its target."""
    lines = PtxLines(parsed(TEXT), "k", counts(lanes_on, divergent))
    flow = Flow(built, lines, warps=10)
    numbers = {edge: number for number, edge in enumerate(flow.edges, len(built.blocks))}
    found = {}
    for row in branches.rows(flow, Paths(lines.function)):
        assert row.low == row.high
        [(variable, factor)] = row.coefficients.items()
        assert factor == 1
        found[variable] = row.low
    return [found.get(variable) for variable in (0, numbers[0, 1], numbers[0, 2])]


# the branch, the lines behind it and at its target; executions of the branch, of both ways
SENSES = [
    ("@P0 BRA .L_x_0",  NOT_TAKEN, TAKEN,     [10, 7, 3]),          # as in the PTX
    ("@!P0 BRA .L_x_0", TAKEN,     NOT_TAKEN, [10, 3, 7]),          # turned by ptxas
    ("@P0 BRA .L_x_0",  NOT_TAKEN, NOT_TAKEN, [None, None, None]),  # no telling
    ("@P0 BRA .L_x_0",  END,       END,       [None, None, None]),
]  # fmt: skip


@pytest.mark.parametrize(("branch", "first", "second", "expected"), SENSES)
def test_the_lines_on_both_sides_say_which_way_is_which(branch, first, second, expected):
    assert rows(machine(branch, first, second)) == expected


def test_a_branch_that_diverges_says_nothing_and_half_of_the_warps_go_each_way():
    assert rows(machine("@P0 BRA .L_x_0", NOT_TAKEN, TAKEN), divergent=1) == [None, None, None]
    assert rows(machine("@P0 BRA .L_x_0", END, END), lanes_on=160) == [10, 5, 5]


def test_a_branch_that_occurs_twice_says_nothing():
    code = [
        MachineInstruction(0, "@P0 BRA .L_x_0", line=BRANCH),
        MachineInstruction(16, "MOV R1, 0x1", line=NOT_TAKEN),
        MachineInstruction(32, "@P0 BRA .L_x_0", line=BRANCH),
        MachineInstruction(48, "EXIT", (".L_x_0",), END),
    ]
    lines = PtxLines(parsed(TEXT), "k", counts(96))
    assert list(branches.rows(Flow(graph(code), lines, warps=10), Paths(lines.function))) == []
