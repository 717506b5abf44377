"""From which parameters, variables and predefined registers what a kernel uses is computed: what it may touch.

A forward analysis over basic blocks: a write replaces what a register stood for, a guarded one adds to it, and where
ways meet either may hold. Of what comes from memory or from other lanes only that is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ptxbench.emulator.syntax import (
    Address,
    Dual,
    Element,
    Function,
    Group,
    Immediate,
    Instruction,
    Operand,
    Register,
    Special,
    Sum,
    Symbol,
    Vector,
)

Roots = frozenset[str]
State = dict[str, Roots]
"""By register, the names of what it is computed from; one that is left out has none."""

NOTHING: Roots = frozenset()
FETCHED = "*"
"""The name of what comes from memory or from other lanes."""

NO_RESULT = (
    "st.",
    "red.",
    "bra",
    "brx",
    "bar.",
    "barrier.",
    "ret",
    "exit",
    "call",
    "cp.",
    "prefetch",
    "membar",
    "fence",
)
"""Instructions whose first operand is not written."""

LOADS = ("ld.", "ldu.", "atom.", "ldmatrix", "shfl", "mma.", "wmma.")
"""Instructions whose result does not follow from their operands, but for a load of a parameter."""

ENDS = ("bra", "brx", "ret", "exit", "trap")


class Used(NamedTuple):
    """The roots of an instruction's operands before it, and of its guard."""

    operands: tuple[Roots, ...]
    guard: Roots = NOTHING


def rooted(function: Function) -> list[Used]:
    """For each instruction, what it uses; nothing where it is never reached."""
    blocks = Blocks(function)
    before: dict[int, State] = {0: {}}
    waiting = [0]
    while waiting:
        block = waiting.pop()
        state = dict(before[block])
        for index in blocks.indices(block):
            step(state, function.instructions[index])
        for successor in blocks.successors(block):
            if successor not in before:
                before[successor] = dict(state)
                waiting.append(successor)
            elif merge(before[successor], state):
                waiting.append(successor)
    found = [Used((NOTHING,) * len(each.operands)) for each in function.instructions]
    for block, start in before.items():
        state = dict(start)
        for index in blocks.indices(block):
            instruction = function.instructions[index]
            guard = NOTHING if instruction.guard is None else of(instruction.guard, state)
            found[index] = Used(tuple(of(each, state) for each in instruction.operands), guard)
            step(state, instruction)
    return found


def step(state: State, instruction: Instruction) -> None:
    """What an instruction does to the roots."""
    if not instruction.operands or instruction.opcode.startswith(NO_RESULT):
        return
    target, *sources = instruction.operands
    computed = not instruction.opcode.startswith(LOADS) or instruction.opcode.startswith("ld.param")
    new = NOTHING.union(*(of(each, state) for each in sources)) if computed else frozenset({FETCHED})
    for name in registers(target):
        roots = new | state.get(name, NOTHING) if instruction.guard is not None else new
        if roots:
            state[name] = roots
        else:
            state.pop(name, None)


def merge(into: State, other: Mapping[str, Roots]) -> bool:
    """Add the roots of another way to a place; whether that tells anything new."""
    grown = False
    for name, roots in other.items():
        if not roots <= into.get(name, NOTHING):
            into[name] = into.get(name, NOTHING) | roots
            grown = True
    return grown


def of(operand: Operand, state: Mapping[str, Roots]) -> Roots:
    """The roots of an operand."""
    if isinstance(operand, Register):
        return state.get(operand.name, NOTHING)
    if isinstance(operand, Symbol | Special):
        return frozenset({operand.name})
    if isinstance(operand, Address):
        return of(operand.base, state)
    if isinstance(operand, Sum):
        return of(operand.register, state)
    if isinstance(operand, Element):
        return of(operand.symbol, state) | of(operand.index, state)
    if isinstance(operand, Vector | Group):
        return NOTHING.union(*(of(each, state) for each in operand.parts))
    return NOTHING


def registers(operand: Operand) -> Iterator[str]:
    """The registers that a written operand names."""
    if isinstance(operand, Register):
        yield operand.name
    elif isinstance(operand, Vector):
        for part in operand.parts:
            yield from registers(part)
    elif isinstance(operand, Dual):
        yield from registers(operand.first)
        yield from registers(operand.second)


class Blocks:
    """The basic blocks of a function, each known by the index of its first instruction."""

    def __init__(self, function: Function) -> None:
        self.function = function
        count = len(function.instructions)
        after = {index + 1 for index, each in enumerate(function.instructions) if ends(each)}
        self.starts = sorted({0, *function.labels.values(), *after} - {count}) if count else []
        self.following = dict(zip(self.starts, [*self.starts[1:], count], strict=True))

    def indices(self, block: int) -> range:
        return range(block, self.following.get(block, block))

    def successors(self, block: int) -> Sequence[int]:
        """The blocks that may come next."""
        count = len(self.function.instructions)
        if block not in self.following:
            return ()
        last = self.function.instructions[self.following[block] - 1]
        found = [self.following[block]] if not ends(last) or last.guard is not None else []
        for operand in last.operands if last.opcode.startswith(("bra", "brx")) else ():
            if isinstance(operand, Symbol):
                names = self.function.branch_targets.get(operand.name, (operand.name,))
                found += [self.function.labels[name] for name in names if name in self.function.labels]
        return [each for each in found if each < count]


def ends(instruction: Instruction) -> bool:
    """Whether a block ends with this instruction."""
    return instruction.opcode.split(".")[0] in ENDS


def constants(function: Function) -> dict[str, int]:
    """The registers that hold one whole number throughout: written once, by a mov of it."""
    written: dict[str, list[int | None]] = {}
    for instruction in function.instructions:
        if not instruction.operands or instruction.opcode.startswith(NO_RESULT):
            continue
        target, *sources = instruction.operands
        plain = instruction.opcode.startswith("mov.") and instruction.guard is None and len(sources) == 1
        value = sources[0].value if plain and isinstance(sources[0], Immediate) else None
        for name in registers(target):
            written.setdefault(name, []).append(value if isinstance(value, int) else None)
    return {name: value for name, (value, *more) in written.items() if value is not None and not more}
