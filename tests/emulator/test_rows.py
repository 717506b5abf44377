"""Every instruction that computes, on the operands where implementations go wrong. Bits are compared: -0 is not 0."""

import pytest

from tests.emulator.harness import by_opcode, differences, prepare
from tests.emulator.rows import ROWS

GROUPS = by_opcode(ROWS)


def name(key):
    opcode, immediates, several = key
    return opcode + "".join(f",{immediate.text}" for immediate in immediates) + "|q" * several


for group in GROUPS.values():
    prepare(group)


@pytest.mark.parametrize("rows", GROUPS.values(), ids=map(name, GROUPS))
def test_an_instruction_gives_what_the_manual_says(rows):
    assert differences(rows) == []
