"""The blocks of machine code, where they lead, and which guards are known to be false."""

from types import SimpleNamespace

import pytest

from ptxbench.executed.flow import Flow
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


NEWER = "ISETP.GE.U32.AND P4, PT, R3, R0, PT"
FIRST = "ISETP.GE.U32.AND P3, PT, R3, R0, PT"
OLDER = f"{FIRST}\n @P3 BRA .L_x_9"
USE, END = "@P4 LDG.E R9, desc[UR4][R6.64]", ".L_x_9: EXIT"
OTHER = "ISETP.LT.U32.AND P4, PT, R8, R2, PT"

# what is between the first branch and the end; whether the guard of the load is known to be false
ON_PATHS = [
    (f"{NEWER}\n {USE}",                                                                         True),
    (f"{NEWER}\n STG.E desc[UR4][R2.64], R3\n {USE}",                                            True),   # sets nothing
    (f"STG.E desc[UR4][R2.64], R3\n {NEWER}\n {USE}",                                            True),
    (f"{NEWER}\n R2P PR, R5, 0x7f\n {USE}",                                                      False),  # sets P4
    (f"@P1 {NEWER}\n {USE}",                                                                     False),  # perhaps not
    (f"{NEWER}\n @P1 BRA .L_x_1\n MOV R8, R2\n .L_x_1: {USE}",                                   True),
    (f"{NEWER}\n @P1 BRA .L_x_1\n {OTHER}\n .L_x_1: {USE}",                                      False),
    (f"{NEWER}\n @P1 BRA .L_x_1\n MOV R8, R2\n {USE}\n .L_x_1: NOP",                              True),   # in a side
    (f"@P1 BRA .L_x_1\n MOV R8, R2\n .L_x_1: {NEWER}\n {USE}",                                   True),
    (f"@P1 BRA .L_x_1\n MOV R3, R2\n .L_x_1: {NEWER}\n {USE}",                                   False),
    (f"{NEWER}\n @P1 BRA .L_x_1\n {OTHER}\n @P2 BRA .L_x_2\n NOP\n .L_x_2: NOP\n .L_x_1: {USE}", False),
    (f"{NEWER}\n @P1 BRA .L_x_1\n NOP\n @P2 BRA .L_x_2\n NOP\n .L_x_2: {OTHER}\n .L_x_1: {USE}", False),
    (f"@P1 BRA .L_x_1\n NOP\n @P2 BRA .L_x_2\n NOP\n .L_x_2: MOV R3, R2\n .L_x_1: {NEWER}\n {USE}", False),
    (f"NOP\n .L_x_1: {NEWER}\n {USE}\n MOV R8, R5\n @P1 BRA .L_x_1", True),    # in a loop
    (f"NOP\n .L_x_1: {NEWER}\n {USE}\n MOV R3, R5\n @P1 BRA .L_x_1",                                   False),
    (f"NOP\n .L_x_1: MOV R8, R2\n @P2 BRA .L_x_2\n .L_x_2: {NEWER}\n {USE}\n MOV R3, R5\n @P1 BRA .L_x_1", False),
    (f"{NEWER}\n .L_x_1: {USE}\n {OTHER}\n @P1 BRA .L_x_1",                                      False),
    (f"{NEWER}\n .L_x_1: {USE}\n MOV R8, R5\n @P1 BRA .L_x_1",                                   True),
    (f"ISETP.GE.U32.AND P4, PT, R0, R3, PT\n {USE}",                                             False),  # swapped
    (f"ISETP.GT.U32.AND P4, PT, R3, R0, PT\n {USE}",                                             False),
]  # fmt: skip


# the same for whole kernels
KERNELS = [
    (f"{FIRST}\n @P3 BRA .L_x_1\n .L_x_2: {NEWER}\n {USE}\n EXIT\n .L_x_1: NOP\n BRA .L_x_2",
     False),                                                          # the branch that was taken comes back
    (f"{FIRST}\n @P3 BRA P1, .L_x_9\n {NEWER}\n {USE}\n {END}", False),   # or P1 is false
    (f"ISETP.GE.U32.AND P3, PT, R3, R0, P6\n @P3 BRA .L_x_9\n R2P PR, R5, 0x40\n ISETP.GE.U32.AND P4, PT, R3, R0, P6\n"
     f" {USE}\n {END}", False),                                      # another P6
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "never"), [*((f"{OLDER}\n {text}\n {END}", never) for text, never in ON_PATHS), *KERNELS]
)
def test_a_guard_is_known_to_be_false_if_no_path_sets_it_or_what_it_compares(text, never):
    built = graph(code(text))
    [at] = [
        (block.index, position)
        for block in built.blocks
        for position, operation in enumerate(block.operations)
        if operation.guard == "P4"
    ]
    assert Guards(built).never(*at, "P4") is never


IF = "@P0 BRA .L_x_0\n MOV R1, R2\n .L_x_0: EXIT"
EITHER = "@P0 BRA .L_x_0\n @P1 BRA .L_x_1\n .L_x_0: MOV R1, R2\n .L_x_1: EXIT"
LOOP = ".L_x_0: MOV R1, R2\n @P0 BRA .L_x_0\n EXIT"
UNIFORM = "BRA.U UP0, .L_x_0\n MOV R1, R2\n .L_x_0: EXIT"

# code, executions of its blocks by one warp, and of its edges; whether both are possible
RUNS = [
    (IF,      [1, 0, 1],    {(0, 2): 1, (0, 1): 0, (1, 2): 0},                       True),
    (IF,      [1, 1, 1],    {(0, 2): 1, (0, 1): 1, (1, 2): 1},                       True),   # the lanes diverge
    (IF,      [1, 1, 2],    {(0, 2): 1, (0, 1): 1, (1, 2): 1},                       False),  # they converge again
    (IF,      [1, 0, 1],    {(0, 2): 0, (0, 1): 0, (1, 2): 0},                       False),  # nobody goes on
    (IF,      [1, 2, 1],    {(0, 2): 1, (0, 1): 2, (1, 2): 2},                       False),  # more than the warp
    (EITHER,  [1, 1, 1, 1], {(0, 2): 1, (0, 1): 1, (1, 3): 1, (1, 2): 1, (2, 3): 1}, True),   # two parts come together
    (EITHER,  [1, 1, 3, 1], {(0, 2): 1, (0, 1): 1, (1, 3): 1, (1, 2): 1, (2, 3): 3}, False),
    (LOOP,    [3, 1],       {(0, 0): 2, (0, 1): 1},                                  True),   # the last lanes leave
    (LOOP,    [3, 0],       {(0, 0): 2, (0, 1): 1},                                  False),
    (UNIFORM, [1, 1, 1],    {(0, 2): 0, (0, 1): 1, (1, 2): 1},                       True),
    (UNIFORM, [1, 1, 1],    {(0, 2): 1, (0, 1): 1, (1, 2): 1},                       False),  # no lanes diverge
]  # fmt: skip


@pytest.mark.parametrize(("text", "blocks", "edges", "possible"), RUNS)
def test_the_rows_of_a_flow_allow_what_a_warp_can_do_and_nothing_else(text, blocks, edges, possible):
    flow = Flow(graph(code(text)), SimpleNamespace(begin=lambda line: None), warps=1)
    values = [*blocks, *(edges[edge] for edge in flow.edges)]
    sums = [(row, sum(factor * values[at] for at, factor in row.coefficients.items())) for row in flow.rows()]
    assert all(row.low <= total <= row.high for row, total in sums) == possible
