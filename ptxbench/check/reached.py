"""Which instructions several CTAs may execute, as far as comparisons with a CTA's number show. Knows PTX only.

After `if (blockIdx.x == 0)`, and after `if (blockIdx.x) return;`, one CTA is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ptxbench.check.roots import (
    FETCHED,
    NO_RESULT,
    BlockStates,
    OperandRoots,
    Roots,
    ends_block,
    written_registers,
)
from ptxbench.emulator.syntax import Function, Immediate, Instruction, Operand, Register

Differs = Callable[[Roots], bool]
"""Whether a value with these roots may differ between CTAs."""


class OneCta(NamedTuple):
    """Whether a predicate has this value, true or false, in one CTA at most."""

    if_true: bool = False
    if_false: bool = False

    def under(self, *, negated: bool) -> bool:
        return self.if_false if negated else self.if_true


UNKNOWN = OneCta()
Known = dict[str, OneCta]


def several_ctas(blocks: BlockStates, used: Sequence[OperandRoots], differs: Differs) -> set[int]:
    """The indices of the instructions that several CTAs may execute."""
    guards = guards_of(blocks, used, differs)
    reached: set[int] = set()
    waiting = blocks.starts[:1]
    while waiting:
        if (block := waiting.pop()) not in reached:
            reached.add(block)
            waiting += successors(blocks, block, guards)
    instructions = blocks.function.instructions
    return {
        index
        for block in reached
        for index in blocks.indices(block)
        if index not in guards or not guards[index].under(negated=instructions[index].negated)
    }


def successors(blocks: BlockStates, block: int, guards: Mapping[int, OneCta]) -> Sequence[int]:
    """The blocks after a block, without those to which its branch sends one CTA at most."""
    index = blocks.indices(block)[-1]
    last = blocks.function.instructions[index]
    if index not in guards or not ends_block(last):
        return blocks.successors(block)
    negated = last.negated
    stays = guards[index].under(negated=not negated)
    leaves = guards[index].under(negated=negated)
    return [after for after in blocks.successors(block) if not (stays if after == index + 1 else leaves)]


def guards_of(blocks: BlockStates, used: Sequence[OperandRoots], differs: Differs) -> Mapping[int, OneCta]:
    """What is known of each guard. A predicate that several instructions write is known in their basic blocks only."""
    everywhere = written_once(blocks.function, used, differs)
    guards: dict[int, OneCta] = {}
    for block in blocks.starts:
        known = dict(everywhere)
        for index in blocks.indices(block):
            instruction = blocks.function.instructions[index]
            if instruction.guard is not None:
                guards[index] = known.get(instruction.guard.name, UNKNOWN)
            for name in written(instruction):
                known[name] = result(instruction, used[index], differs, known)
    return guards


def written_once(function: Function, used: Sequence[OperandRoots], differs: Differs) -> Known:
    """What is known of the predicates that one instruction writes."""
    known: Known = {}
    for instruction, roots in zip(function.instructions, used, strict=True):
        for name in written(instruction):
            known[name] = UNKNOWN if name in known else result(instruction, roots, differs, known)
    return known


def written(instruction: Instruction) -> Sequence[str]:
    """The registers that an instruction writes."""
    is_store = not instruction.operands or instruction.opcode.startswith(NO_RESULT)
    return () if is_store else written_registers(instruction.operands[0])


def result(instruction: Instruction, used: OperandRoots, differs: Differs, known: Known) -> OneCta:
    """What is known of the predicate that an instruction computes."""
    opcode, operands = instruction.opcode, instruction.operands[1:]
    if instruction.guard is not None:
        return UNKNOWN
    if opcode.startswith(("setp.eq.", "setp.ne.")) and len(operands) == 2:
        is_number = [differs(roots) for roots in used.operands[1:]].count(True) == 1
        is_flag = is_number and FETCHED in used.operands[1] | used.operands[2] and Immediate(0) in operands
        equal, other = is_number, is_flag  # a flag that is set in one CTA
        return OneCta(equal, other) if opcode.startswith("setp.eq.") else OneCta(other, equal)
    parts = [of_operand(operand, known) for operand in operands]
    if opcode == "and.pred":
        return OneCta(any(part.if_true for part in parts), all(part.if_false for part in parts))
    if opcode == "or.pred":
        return OneCta(all(part.if_true for part in parts), any(part.if_false for part in parts))
    if opcode == "not.pred":
        return OneCta(parts[0].if_false, parts[0].if_true)
    return parts[0] if opcode == "mov.pred" else UNKNOWN


def of_operand(operand: Operand, known: Known) -> OneCta:
    return known.get(operand.name, UNKNOWN) if isinstance(operand, Register) else UNKNOWN
