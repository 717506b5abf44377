"""The blocks of machine code, where they lead, and which guards are known to be false."""

import pytest

from ptxbench.executed.graph import graph
from ptxbench.executed.guards import Guards
from ptxbench.toolchain.lines import MachineInstruction


def code(text):
    """Instructions from lines such as `.L_x_0: MOV R1, R2`."""
    instructions = []
    for line in text.strip().splitlines():
        labels, rest = [], line.strip()
        while rest.startswith((".L_", "$")):
            label, rest = (word.strip() for word in rest.split(":", 1))
            labels.append(label)
        instructions.append(MachineInstruction(16 * len(instructions), rest, tuple(labels)))
    return instructions


LEADS = [
    # code                                                             successors of each block
    ("MOV R1, R2\n EXIT", [()]),
    ("@P0 BRA .L_x_0\n MOV R1, R2\n .L_x_0: EXIT", [(2, 1), (2,), ()]),
    ("BRA P0, .L_x_0\n MOV R1, R2\n .L_x_0: EXIT", [(2, 1), (2,), ()]),
    ("BRA.U !UP0, .L_x_0\n MOV R1, R2\n .L_x_0: EXIT", [(2, 1), (2,), ()]),
    ("@P0 EXIT\n EXIT", [(1,), ()]),
    (".L_x_0: MOV R1, R2\n @!P0 BRA .L_x_0\n EXIT", [(0, 1), ()]),
    ("BSSY B0, .L_x_1\n @P0 BRA .L_x_0\n MOV R1, R2\n .L_x_0: BSYNC B0\n MOV R3, R4\n .L_x_1: EXIT",
     [(2, 1), (2,), (4,), (4,), ()]),
    ("BRX R4 -0x20 (*\"BRANCH_TARGETS .L_x_0,.L_x_1\"*)\n .L_x_0: EXIT\n .L_x_1: EXIT", [(1, 2), (), ()]),
    # a call that returns, and one that is a jump over a long distance
    ("CALL.REL.NOINC $f\n EXIT\n $f: RET.REL.NODEC R4 k", [(1,), (), ()]),
    ("@!P0 CALL.REL.NOINC .L_x_0\n MOV R1, R2\n .L_x_0: EXIT", [(2, 1), (2,), ()]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "leads"), LEADS)
def test_each_block_leads_where_its_last_instruction_says(text, leads):
    built = graph(code(text))
    assert [block.successors for block in built.blocks] == leads
    assert built.unknown is None


UNKNOWN = [
    ("BRX R4 -0x20\n EXIT", "the targets of BRX at 0x0 are unknown"),
    ("CALL.ABS.NOINC R14\n EXIT", "CALL.ABS.NOINC at 0x0 calls an unknown function"),
    ("BRA 0x400\n EXIT", "BRA at 0x0 leads out of the kernel"),
    ("HOP .L_x_0\n .L_x_0: EXIT", "unknown control instruction HOP"),
]


@pytest.mark.parametrize(("text", "reason"), UNKNOWN)
def test_where_a_block_leads_is_unknown_and_says_why(text, reason):
    assert graph(code(text)).unknown == reason


GUARDED = """
ISETP.GE.U32.AND P3, PT, R3, R0, PT
@P3 BRA .L_x_0
{between}
ISETP.GE.U32.AND P4, PT, R3, {other}, PT
@P4 LDG.E R9, desc[UR4][R6.64]
.L_x_0: EXIT
"""


@pytest.mark.parametrize(
    ("between", "other", "never"),
    [
        ("MOV R8, R2", "R0", True),
        ("HFMA2.MMA R2, -RZ, RZ, 0, 0", "R0", True),  # one register
        ("LOP3.LUT P2, RZ, R0, 0x1f, RZ, 0xc0, !PT", "R0", True),  # keeps a predicate alone
        ("MOV R3, R2", "R0", False),  # another value is compared
        ("LDG.E.128 R0, desc[UR4][R6.64]", "R0", False),  # of four registers
        ("IMAD.WIDE R2, R8, 0x4, R6", "R0", False),  # of two
        ("MOV R8, R2", "R1", False),  # with another value
    ],
)
def test_a_guard_is_known_to_be_false_behind_a_branch_on_the_same_comparison(between, other, never):
    flow = graph(code(GUARDED.format(between=between, other=other)))
    assert Guards(flow).never(1, 2, "P4") is never
    assert not Guards(flow).never(1, 2, "!P4")


def test_a_guard_is_not_known_after_the_branch_that_was_taken_on_it():
    flow = graph(code("ISETP.GE.U32.AND P3, PT, R3, R0, PT\n @!P3 BRA .L_x_0\n ISETP.GE.U32.AND P4, PT, R3, R0, PT\n"
                      "@P4 MOV R9, R8\n .L_x_0: EXIT"))  # fmt: skip
    assert not Guards(flow).never(1, 1, "P4")
