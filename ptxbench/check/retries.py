"""Waits for mbarriers that a kernel does not repeat when their result is false.

The result of `mbarrier.try_wait` and `test_wait` may be false although the phase will complete. A repeated wait is
reached again, for the same phase, before anything uses memory. (PTX ISA, "mbarrier.test_wait, mbarrier.try_wait".)
"""

from __future__ import annotations

import re
from collections.abc import Set

from ptxbench.check.lint import PHASE_WAIT
from ptxbench.check.roots import NO_RESULT, BlockStates, written_registers
from ptxbench.emulator.syntax import Function, Instruction, registers

USES = re.compile(r"(?!ld\.param)(ld|ldmatrix|st|atom|red|cp|bar|barrier|mbarrier|wgmma|mma|call)\b")
"""How the opcodes begin of what a kernel does when it does not wait any more."""


def unrepeated_wait(function: Function) -> Instruction | None:
    """The first wait that the function does not repeat; None if there is none."""
    blocks = BlockStates(function)
    return next(
        (
            wait
            for index, wait in enumerate(function.instructions)
            if PHASE_WAIT.match(wait.opcode) and not repeats(blocks, index)
        ),
        None,
    )


def repeats(blocks: BlockStates, index: int) -> bool:
    """Whether a path leads from this wait to itself, or to another one with the same operands, without a use of memory
    and without a new address or phase."""
    instructions = blocks.function.instructions
    phase = instructions[index].operands[1:]
    names = {name for operand in phase for name in registers(operand)}
    waiting, seen = [index + 1], set[int]()
    while waiting:
        start = waiting.pop()
        if start in seen or start >= len(instructions):
            continue
        seen.add(start)
        block = blocks.of(start)
        for instruction in instructions[start : blocks.following[block]]:
            if PHASE_WAIT.match(instruction.opcode) and instruction.operands[1:] == phase:
                return True
            if USES.match(instruction.opcode) or changes(instruction, names):
                break
        else:
            waiting += blocks.successors(block)
    return False


def changes(instruction: Instruction, names: Set[str]) -> bool:
    """Whether an instruction computes a new value for one of these registers: not from constants alone."""
    if not instruction.operands or instruction.opcode.startswith(NO_RESULT):
        return False
    target, *sources = instruction.operands
    return not names.isdisjoint(written_registers(target)) and any(registers(source) for source in sources)
