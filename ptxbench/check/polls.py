"""Loops that wait for a value in global memory with loads that promise nothing about other threads.

Such a load is weak: the compiler may load only once, and stores of other threads may never be seen. A loop waits
if a comparison that can end it depends only on such a load, from an address that stays the same, and on
values that stay the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain

from ptxbench.check.roots import FETCHED, NO_RESULT, BlockStates, Roots, ends_block, written_registers
from ptxbench.emulator.dominators import Dominators
from ptxbench.emulator.syntax import Function, Immediate, Instruction, Module, Operand, Special, registers

WEAK = re.compile(r"ld(?!u)(?!.*\.(volatile|relaxed|acquire|mmio)\b)(?!.*\.(shared|local|const|param)\b)")
STORES = re.compile(r"(st|atom|red)\b(?!.*\.(shared|local|param)\b)|cp\.(reduce\.)?async\.bulk")
MEETS = re.compile(r"(bar|barrier|mbarrier|call|griddepcontrol)\b")
"""Instructions after which the value may have changed legitimately, or with an unknown effect."""
UNKNOWN = re.compile(r"(ld|ldu|atom|ldmatrix|alloca|mma|wmma|tex|suld)\b(?!\.param)(?!\.const)")
"""Instructions with results that may change although their operands do not."""
COMPARES = re.compile(r"(setp|testp)\b")
CHANGING = ("%clock", "%globaltimer", "%pm")
UPDATE = re.compile(r"(atom|red)\.(?!.*\.shared)")
STRONG_LOAD = re.compile(r"ld\.(volatile|relaxed|acquire|mmio)(?!.*\.(shared|local))")
SWAP = re.compile(r"atom\.(?=.*\.(cas|exch)\b)(?!.*\.(shared|local))")
COMPARE_AND_SWAP = re.compile(r"atom\.(?=.*\.cas\b)(?!.*\.(shared|local))")
ATOMIC = re.compile(r"atom\.(?!.*\.(shared|local))")
ANNOUNCEMENT = re.compile(r"st(\.async)?\.(volatile|relaxed|release|mmio)(?!.*\.(shared|local))")

MOST_BLOCKS, MOST_READ = 200, 5_000
"""The largest loops that are examined, in blocks and in instructions: waiting loops are small."""


def announces(module: Module) -> bool:
    """Whether a kernel stores a value that another CTA may wait for."""
    return has(module, ANNOUNCEMENT)


def announces_updates(module: Module) -> bool:
    """Whether a kernel updates values by atomics, and stores or draws what may announce that: a flag or a ticket."""
    updates = len(lines_of(module, UPDATE))
    return (updates > 0 and has(module, ANNOUNCEMENT)) or (updates > 1 and has(module, ATOMIC))


def swaps(module: Module) -> bool:
    """Whether a kernel swaps values in global memory."""
    return has(module, SWAP)


def combines(module: Module) -> bool:
    """Whether a CTA may use what others have stored: after a ticket or another atomic whose result is used, or after a
    value that a CTA may wait for."""
    return announces(module) or any(map(uses_atomics, module.functions.values()))


def uses_atomics(function: Function, kind: re.Pattern[str] = ATOMIC) -> bool:
    """Whether a function reads the result of an atomic of a kind, by default of any on global memory."""
    results = {
        name
        for instruction in function.instructions
        if kind.match(instruction.opcode)
        for name in registers(instruction.operands[0])
    }
    return bool(results) and any(
        name in results
        for instruction in function.instructions
        for operand in sources(instruction)
        for name in registers(operand)
    )


def uses_swaps(module: Module) -> bool:
    """Whether a kernel reads the result of a swap, or compares and swaps. An exchange whose result is not used is a
    store."""
    return has(module, COMPARE_AND_SWAP) or any(uses_atomics(function, SWAP) for function in module.functions.values())


def reads_exchanged(module: Module) -> bool:
    """Whether a kernel has strong loads, or atomics with a result, which may read what other CTAs stored by strong
    stores or other atomics. Atomics that do not only read may read stores and exchanges alone (races/old_values.py)."""
    if has(module, ANNOUNCEMENT):
        return has(module, STRONG_LOAD) or has(module, ATOMIC)
    if has(module, STRONG_LOAD):
        return has(module, UPDATE)
    updates = [instruction for instruction in instructions_of(module) if UPDATE.match(instruction.opcode)]
    return len(updates) > 1 and any(may_only_read(update) or ".exch" in update.opcode for update in updates)


def may_only_read(instruction: Instruction) -> bool:
    """Whether an atomic may leave memory as it is, whatever memory has: such as an addition of 0."""
    if not ATOMIC.match(instruction.opcode) or not re.search(r"\.(add|min|max|and|or|xor|cas)\b", instruction.opcode):
        return False
    numbers = [operand for operand in instruction.operands[2:] if isinstance(operand, Immediate)]
    if ".cas" in instruction.opcode:
        return len(numbers) < 2 or numbers[0] == numbers[1]
    return not numbers or not re.search(r"\.(add|or|xor)\b", instruction.opcode) or numbers[0].value == 0


def exchange_lines(module: Module) -> Sequence[int]:
    """The lines of the swaps in global memory; if there are none, of the strong stores and the strong loads."""
    return lines_of(module, SWAP) or [*lines_of(module, ANNOUNCEMENT), *lines_of(module, STRONG_LOAD)]


def has(module: Module, pattern: re.Pattern[str]) -> bool:
    """Whether an opcode of the module begins with the pattern."""
    return any(pattern.match(instruction.opcode) for instruction in instructions_of(module))


def lines_of(module: Module, pattern: re.Pattern[str]) -> Sequence[int]:
    """The lines of the instructions whose opcode begins with the pattern."""
    return [instruction.line for instruction in instructions_of(module) if pattern.match(instruction.opcode)]


def instructions_of(module: Module) -> Iterator[Instruction]:
    return chain.from_iterable(function.instructions for function in module.functions.values())


def polls(blocks: BlockStates, addresses: Sequence[Roots]) -> Iterator[int]:
    """The indices of the loads with which a loop waits. `addresses`: the roots of each instruction's address."""
    function = blocks.function
    weak = {index for index, instruction in enumerate(function.instructions) if WEAK.match(instruction.opcode)}
    loading = {blocks.of(index) for index in weak}
    loads: set[int] = set()
    for body in loops(blocks) if loading else ():
        if loading & body and sum(len(blocks.indices(block)) for block in body) <= MOST_READ:
            loads.update(polling_loads(PollLoop(function, blocks, body), weak, addresses))
    yield from sorted(loads)


def loops(blocks: BlockStates) -> Iterator[frozenset[int]]:
    """The blocks of each natural loop, without loops of more than MOST_BLOCKS."""
    if not blocks.starts:
        return
    tree = Dominators([0], blocks.successors)
    for last in sorted(tree.order):
        for head in blocks.successors(last):
            if tree.dominates(head, last):
                body = tree.loop(head, [last], MOST_BLOCKS)
                if len(body) <= MOST_BLOCKS:
                    yield body


class PollLoop:
    """A loop: its instructions, the writes and reads of each register in it, and the branches that leave it."""

    def __init__(self, function: Function, blocks: BlockStates, body: frozenset[int]) -> None:
        self.indices = [index for block in sorted(body) for index in blocks.indices(block)]
        self.function = function
        self.exits = [blocks.indices(block)[-1] for block in sorted(body) if leaves(function, blocks, block, body)]

    @cached_property
    def reads(self) -> dict[int, frozenset[str]]:
        return {index: self.read(index) for index in self.indices}

    @cached_property
    def readers(self) -> dict[str, list[int]]:
        """By register, the instructions that read it."""
        return by_register((index, self.reads[index]) for index in self.indices)

    @cached_property
    def writers(self) -> dict[str, list[int]]:
        """By register, the instructions that write it."""
        return by_register((index, self.results(index)) for index in self.indices)

    def read(self, index: int) -> frozenset[str]:
        """The registers that an instruction reads, with its guard."""
        instruction = self.function.instructions[index]
        names = frozenset(chain.from_iterable(registers(source) for source in sources(instruction)))
        return names if instruction.guard is None else names | {instruction.guard.name}

    def matching(self, pattern: re.Pattern[str]) -> list[int]:
        return [index for index in self.indices if pattern.match(self.function.instructions[index].opcode)]

    def closed(self, start: Iterable[str], fits: Iterable[int]) -> set[str]:
        """`start` and the registers that are written only by instructions of `fits` with operands from the same set."""
        names, allowed = set(start), set(fits)
        waiting = [*self.writers]
        while waiting:
            name = waiting.pop()
            writers = self.writers.get(name, ())
            if name not in names and all(writer in allowed and self.reads[writer] <= names for writer in writers):
                names.add(name)
                waiting += chain.from_iterable(self.results(index) for index in self.readers.get(name, ()))
        return names

    def dependents(self, start: Iterable[str]) -> set[str]:
        """`start` and the registers that are computed from any of them."""
        names: set[str] = set()
        waiting = [*start]
        while waiting:
            if (name := waiting.pop()) not in names:
                names.add(name)
                waiting += chain.from_iterable(self.results(index) for index in self.readers.get(name, ()))
        return names

    def needed(self, start: Iterable[str]) -> set[int]:
        """The instructions that compute the registers `start`."""
        indices: set[int] = set()
        waiting = [*start]
        while waiting:
            for index in self.writers.get(waiting.pop(), ()):
                if index not in indices:
                    indices.add(index)
                    waiting += self.reads[index]
        return indices

    def results(self, index: int) -> Iterator[str]:
        return written(self.function.instructions[index])


def by_register(uses: Iterable[tuple[int, Iterable[str]]]) -> dict[str, list[int]]:
    """The instructions that use a register, by its name. `uses`: instructions, by index, with their registers."""
    indices: dict[str, list[int]] = {}
    for index, names in uses:
        for name in names:
            indices.setdefault(name, []).append(index)
    return indices


def polling_loads(loop: PollLoop, weak: Collection[int], addresses: Sequence[Roots]) -> Iterator[int]:
    """The weak loads with which a loop waits."""
    if loop.matching(MEETS) or not loop.exits:
        return
    instructions = loop.function.instructions
    outside = loop.readers.keys() - loop.writers.keys()
    fits = [index for index in loop.indices if is_steady(instructions[index])]
    steady = loop.closed(outside, fits)
    stored = [addresses[index] for index in loop.matching(STORES)]
    if any(FETCHED in names or not names for names in stored):
        return
    stored_arrays = frozenset[str]().union(*stored)
    loads = {
        index
        for index in loop.indices
        if index in weak and loop.reads[index] <= steady and not addresses[index] & stored_arrays
    }  # fmt: skip
    steady_or_loaded = loop.closed(steady, [*fits, *loads])
    fresh = loop.dependents(chain.from_iterable(loop.results(index) for index in loads))
    guards = {guard.name for index in loop.exits if (guard := instructions[index].guard) is not None}
    deciding = loop.needed(guards)
    for index in loop.matching(COMPARES):
        if index in deciding and loop.reads[index] & fresh and loop.reads[index] <= steady_or_loaded:
            yield from loads & loop.needed(loop.reads[index])


def is_steady(instruction: Instruction) -> bool:
    """Whether an instruction always gives the same result for the same operands."""
    changing = any(
        isinstance(operand, Special) and operand.name.startswith(CHANGING) for operand in instruction.operands
    )
    return not UNKNOWN.match(instruction.opcode) and not changing


def leaves(function: Function, blocks: BlockStates, block: int, body: frozenset[int]) -> bool:
    """Whether a block of a loop ends with a guarded exit from the loop."""
    last = blocks.indices(block)[-1]
    instruction = function.instructions[last]
    if not ends_block(instruction) or instruction.guard is None:
        return False
    returns = not instruction.opcode.startswith("br") or last + 1 == len(function.instructions)
    return returns or not body.issuperset(blocks.successors(block))


def written(instruction: Instruction) -> Iterator[str]:
    if instruction.operands and not instruction.opcode.startswith(NO_RESULT):
        yield from written_registers(instruction.operands[0])


def sources(instruction: Instruction) -> Sequence[Operand]:
    return instruction.operands if instruction.opcode.startswith(NO_RESULT) else instruction.operands[1:]
