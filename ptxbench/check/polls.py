"""Loops that wait for a value in global memory, and load it by an access that promises nothing about other threads.

Such a load is weak: the compiler may load once for all, and what another thread stores need never be seen. A loop waits
where a comparison that can end it depends on nothing but such a load, from an address that stays the same, and on
values that stay the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain

from ptxbench.check.roots import FETCHED, NO_RESULT, Blocks, Roots, ends, read_registers, registers
from ptxbench.emulator.syntax import Function, Instruction, Operand, Special

WEAK = re.compile(r"ld(?!u)(?!.*\.(volatile|relaxed|acquire|mmio)\b)(?!.*\.(shared|local|const|param)\b)")
STORES = re.compile(r"(st|atom|red)\b(?!.*\.(shared|local|param)\b)|cp\.(reduce\.)?async\.bulk")
MEETS = re.compile(r"(bar|barrier|mbarrier|call|griddepcontrol)\b")
"""After these the value may have changed for a good reason, or nobody knows what was done."""
UNKNOWN = re.compile(r"(ld|ldu|atom|ldmatrix|alloca|mma|wmma|tex|suld)\b(?!\.param)(?!\.const)")
"""Their results need not stay the same where their operands do."""
CHANGING = ("%clock", "%globaltimer", "%pm")


def polls(function: Function, addresses: Sequence[Roots]) -> Iterator[int]:
    """The indices of the loads by which a loop waits. `addresses`: of each instruction, what its address comes from."""
    blocks = Blocks(function)
    found = {
        index
        for body in loops(blocks)
        for index in waits(Loop(function, blocks, body), addresses)
    }  # fmt: skip
    yield from sorted(found)


def loops(blocks: Blocks) -> Iterator[frozenset[int]]:
    """The blocks of each natural loop: of a jump back to a block that every way to the jump passes."""
    reached = {0, *blocks.after(0)} if blocks.starts else set()
    before: dict[int, set[int]] = {each: set() for each in reached}
    for each in reached:
        for successor in blocks.successors(each):
            before[successor].add(each)
    dominators = {each: set(reached) for each in reached}
    if reached:
        dominators[0] = {0}
    changed = True
    while changed:
        changed = False
        for each in sorted(reached - {0}):
            new = {each} | set.intersection(*(dominators[other] for other in before[each]))
            changed |= new != dominators[each]
            dominators[each] = new
    for last in sorted(reached):
        for head in blocks.successors(last):
            if head in dominators[last]:
                body = {head}
                waiting = [last]
                while waiting:
                    if (each := waiting.pop()) not in body:
                        body.add(each)
                        waiting += before[each]
                yield frozenset(body)


class Loop:
    """A loop: its instructions, what each register is written by in it, and which branches leave it."""

    def __init__(self, function: Function, blocks: Blocks, body: frozenset[int]) -> None:
        self.indices = [index for block in sorted(body) for index in blocks.indices(block)]
        self.function = function
        self.writers: dict[str, list[int]] = {}
        for index in self.indices:
            for name in written(function.instructions[index]):
                self.writers.setdefault(name, []).append(index)
        self.exits = [blocks.indices(block)[-1] for block in sorted(body) if leaves(function, blocks, block, body)]

    def read(self, index: int) -> set[str]:
        """The registers that an instruction reads, its guard among them."""
        instruction = self.function.instructions[index]
        names = set(chain.from_iterable(read_registers(each) for each in sources(instruction)))
        return names if instruction.guard is None else names | {instruction.guard.name}

    def closed(self, start: set[str], fits: Sequence[int]) -> set[str]:
        """`start` and the registers that only instructions of `fits` write, whose operands are among them too."""
        found, allowed = set(start), set(fits)
        grown = True
        while grown:
            grown = False
            for name, indices in self.writers.items():
                if name not in found and all(each in allowed and self.read(each) <= found for each in indices):
                    found.add(name)
                    grown = True
        return found


def waits(loop: Loop, addresses: Sequence[Roots]) -> Iterator[int]:
    """The weak loads that a loop waits by."""
    instructions = loop.function.instructions
    if any(MEETS.match(instructions[index].opcode) for index in loop.indices) or not loop.exits:
        return
    read = set(chain.from_iterable(loop.read(index) for index in loop.indices))
    outside = read - loop.writers.keys()
    steady = loop.closed(outside, [index for index in loop.indices if is_steady(instructions[index])])
    for load in loop.indices:
        if not WEAK.match(instructions[load].opcode) or not loop.read(load) <= steady:
            continue
        stored = [addresses[index] for index in loop.indices if STORES.match(instructions[index].opcode)]
        if any(FETCHED in each or each & addresses[load] or not each for each in stored):
            continue
        fits = [index for index in loop.indices if index == load or is_steady(instructions[index])]
        known = loop.closed(steady, fits)
        fresh = tainted(loop, set(written(instructions[load])), loop.indices)
        compared = {
            index
            for index in loop.indices
            if instructions[index].opcode.startswith(("setp", "testp")) and loop.read(index) & fresh
            and loop.read(index) <= known
        }  # fmt: skip
        ending = tainted(loop, {name for index in compared for name in written(instructions[index])}, loop.indices)
        guards = {guard.name for index in loop.exits if (guard := instructions[index].guard) is not None}
        if guards & ending:
            yield load


def tainted(loop: Loop, start: set[str], indices: Sequence[int]) -> set[str]:
    """`start` and the registers that are computed from any of them."""
    found = set(start)
    grown = bool(start)
    while grown:
        grown = False
        for index in indices:
            new = set(written(loop.function.instructions[index])) - found
            if new and loop.read(index) & found:
                found |= new
                grown = True
    return found


def is_steady(instruction: Instruction) -> bool:
    """Whether an instruction gives the same result whenever its operands are the same."""
    changing = any(isinstance(each, Special) and each.name.startswith(CHANGING) for each in instruction.operands)
    return not UNKNOWN.match(instruction.opcode) and not changing


def leaves(function: Function, blocks: Blocks, block: int, body: frozenset[int]) -> bool:
    """Whether a block of a loop ends with a way out of it that depends on a guard."""
    last = blocks.indices(block)[-1]
    instruction = function.instructions[last]
    if not ends(instruction) or instruction.guard is None:
        return False
    returns = not instruction.opcode.startswith("br") or last + 1 == len(function.instructions)
    return returns or not body.issuperset(blocks.successors(block))


def written(instruction: Instruction) -> Iterator[str]:
    if instruction.operands and not instruction.opcode.startswith(NO_RESULT):
        yield from registers(instruction.operands[0])


def sources(instruction: Instruction) -> Sequence[Operand]:
    return instruction.operands if instruction.opcode.startswith(NO_RESULT) else instruction.operands[1:]
