"""The control flow of a kernel's PTX: its loops, and the code on each side of its branches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ptxbench.emulator.syntax import Function, Instruction, Symbol
from ptxbench.executed import dominance

ENDS = ("ret", "exit", "trap")


@dataclass(frozen=True)
class PathLoop:
    """A loop of the PTX. `line`: of its last backward branch; `once`: lines that run once per trip; `body`: all its
    lines.

    `exits`: lines of the branches that may leave it.
    """

    line: int
    once: frozenset[int]
    body: frozenset[int]
    exits: frozenset[int]


@dataclass(frozen=True)
class Paths:
    """The instructions of a kernel, by index, and their successors."""

    function: Function

    @cached_property
    def successors(self) -> list[tuple[int, ...]]:
        return [following(self.function, index) for index in range(len(self.function.instructions))]

    @cached_property
    def before(self) -> list[int]:
        """The dominators of each instruction, as masks."""
        return dominance.dominators(self.successors, [0]) if self.successors else []

    def dominated_by(self, index: int) -> int:
        """The instructions that this one dominates, as a mask."""
        return dominance.dominated(self.before, index)

    @cached_property
    def branches(self) -> dict[int, int]:
        """The guarded branches, by line, except those back to the start of a loop."""
        result = {}
        for index, instruction in enumerate(self.function.instructions):
            back = any(self.before[index] >> target & 1 for target in self.successors[index])
            if instruction.opcode.split(".")[0] == "bra" and instruction.guard is not None and not back:
                result[instruction.line] = index
        return result

    def sides(self, line: int) -> tuple[frozenset[int], frozenset[int]] | None:
        """The lines that are reached only through the branch's target, and those only through the next instruction. If
        the target is where both ways meet, the first are all lines from there on."""
        index = self.branches[line]
        if len(self.successors[index]) != 2:
            return None
        target, following_index = self.successors[index]
        taken, not_taken = self.dominated_by(target), self.dominated_by(following_index)
        return self.lines(taken & ~not_taken), self.lines(not_taken & ~taken)

    def lines(self, mask: int) -> frozenset[int]:
        return frozenset(self.function.instructions[member].line for member in dominance.members(mask))

    @cached_property
    def loops(self) -> list[PathLoop]:
        """The loops; `once` excludes inner loops and guarded instructions."""
        code = self.function.instructions
        bodies = dominance.loops(self.successors, self.before)
        count = Counter(instruction.line for instruction in code)
        path_loops = []
        for head, body in bodies.items():
            backs = [member for member in dominance.members(body) if head in self.successors[member]]
            through = body & ~inner_of(head, bodies)
            for back in backs:
                through &= self.before[back]
            every_trip = [code[member] for member in dominance.members(through)]
            leaving = [
                code[member].line
                for member in dominance.members(body)
                if any(not body >> target & 1 for target in self.successors[member]) or root(code[member]) in ENDS
            ]
            once = frozenset(
                statement.line for statement in every_trip if count[statement.line] == 1 and statement.guard is None
            )
            path_loops.append(PathLoop(code[max(backs)].line, once, self.lines(body), frozenset(leaving)))
        return path_loops


def inner_of(head: int, bodies: Mapping[int, int]) -> int:
    """The instructions of the loops inside the loop with that head, as a mask."""
    inner = 0
    for other, body in bodies.items():
        if other != head and bodies[head] >> other & 1:
            inner |= body
    return inner


def root(instruction: Instruction) -> str:
    return instruction.opcode.split(".")[0]


def following(function: Function, index: int) -> tuple[int, ...]:
    """The possible successors of an instruction; the jump target comes first."""
    instruction = function.instructions[index]
    next_index = (index + 1,) if index + 1 < len(function.instructions) else ()
    if root(instruction) == "bra":
        names = [operand.name for operand in instruction.operands[:1] if isinstance(operand, Symbol)]
    elif root(instruction) == "brx":
        tables = [o.name for o in instruction.operands if isinstance(o, Symbol) and o.name in function.branch_targets]
        names = [name for table in tables for name in function.branch_targets[table]]
    elif root(instruction) in ENDS:
        names = []
    else:
        return next_index
    jump_targets = [function.labels[name] for name in names if name in function.labels]
    reached = [target for target in jump_targets if target < len(function.instructions)]
    return tuple(dict.fromkeys((*reached, *(next_index if instruction.guard is not None else ()))))
