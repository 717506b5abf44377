"""Which instructions of a sanitized kernel may read unwritten memory or registers as long as nothing uses the value,
and which registers need a mark for that.

A compiler moves a load, or a computation with a variable that has no value yet, before the condition that guards it,
and then chooses another value. So the report of such a read waits until the value is used. Each register that the value
can reach before it is dropped has a mark for each lane: 0, or the read and the address (runtime/marks.py). An
instruction that only computes, chooses or shuffles gives its result the marks of its operands, or of the part of them
that it takes (unwritten_bits.py); every other instruction uses them, and so does one whose result has no mark. A store
of such a value to shared or local memory uses it too, unless the kernel may store an unwritten register or copy what it
loads: then the bytes count as unwritten again.

Any choice of loads and of registers with marks gives the same verdict about values that are used. The choice for loads
is a matter of cost: a mark must soon reach an instruction that may drop it, and no mark goes around a loop. Few kernels
read registers that may be unwritten; there the marks go everywhere.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ptxbench.emulator.flow import CARRY, Block, FlowStep
from ptxbench.emulator.runtime.marks import MOST_LOADS, MOST_READS
from ptxbench.emulator.syntax import Address, Dual, Function, Immediate, Operand, Vector, registers
from ptxbench.emulator.types import B32, PRED, TYPES, Type, bits_of

CHOSEN = {"selp": ("a", "b"), "slct": ("a", "b"), "shfl": ("a",)}
"""Instructions that choose among values, by lane, and the operands among which they choose."""
COPIES = ("mov", "selp")
"""Instructions that may copy an unwritten register that nothing uses: they are never reported themselves."""
COPYING = (*COPIES, "shfl", "cvt", "prmt")
"""Instructions through which a structure is copied, which may have bytes that were never written."""
LOGIC = {"and.pred": 0, "or.pred": 1}
"""Instructions whose result one operand alone determines if it has this value."""
MOVED_OPERANDS = {
    **CHOSEN, "mov": ("a",), "cvt": ("a",), "prmt": ("a", "b"), "shl": ("a",), "shr": ("a",), "shf": ("a", "b"),
    "bfe": ("a",), "bfi": ("a", "b"), "mul": ("a",),
}  # fmt: skip
"""Instructions that only move bits, and the operands from which they move them; `mul` only by a power of two."""
WRITING = ("st", "atom", "red")
LOGICAL = frozenset(f"{name}.b{bits}" for name in ("and", "or", "xor", "not") for bits in (16, 32, 64))
INTEGER = re.compile(r"[us](8|16|32|64)")
SPACES = (("shared",), ("local",))
GLOBAL = (("global",),)
NOT_PLAIN = frozenset(("volatile", "relaxed", "acquire", "mmio", "shared::cluster"))
NEAR = 4
"""Instructions from a marked value to one that may drop the mark: such as unpacking, converting and adding."""
CROSSING = 2
"""Instructions from a load, a choice or a shuffle to a value that other lanes may branch around: such as the sum of a
shuffled float, whose bits are moved first."""
MARK = "mark of "
"""The prefix of a register's name for the register with its marks."""
BITS = "bits of "
"""The prefix for the register with its bits that were never written (unwritten_bits.py)."""

Edges = Mapping[str, Collection[str]]


def may_wait(step: FlowStep) -> bool:
    """Whether an instruction is a load whose report may wait."""
    return step.entry.words[0] == "ld" and step.entry.spaces in SPACES and NOT_PLAIN.isdisjoint(step.entry.words)


NOWHERE: tuple[frozenset[str], frozenset[str]] = frozenset(), frozenset()


def moves(step: FlowStep) -> tuple[frozenset[str], frozenset[str]]:
    """The registers whose marks an instruction moves, and those to which it moves them. It uses all others."""
    entry, root = step.entry, step.entry.words[0]
    if root == "shfl":  # whether the lane exists does not depend on the value
        return chosen(step), frozenset(registers(results(step)[0]))
    if root == "mov" or (entry.computes and not entry.carry):
        guard = step.instruction.guard
        return step.operand_reads - ({guard.name} if guard else set()), step.writes
    return NOWHERE


def results(step: FlowStep) -> tuple[Operand, ...]:
    """The operands that an instruction writes, one by one."""
    target = step.instruction.operands[0]
    if isinstance(target, Dual):
        return target.first, target.second
    return target.parts if isinstance(target, Vector) else (target,)


def chosen(step: FlowStep) -> frozenset[str]:
    """The registers whose values may have no effect: those among which selp, slct and shfl choose, and those of LOGIC,
    if they are not also other operands of the instruction."""
    entry, instruction = step.entry, step.instruction
    if entry.opcode in LOGIC:
        return step.operand_reads
    if entry.words[0] not in CHOSEN:
        return frozenset()
    operands = dict(zip(entry.names, instruction.operands, strict=True))
    among = {name for operand in CHOSEN[entry.words[0]] for name in registers(operands.pop(operand))}
    del operands["d"]
    return frozenset(among.difference(*map(registers, operands.values())))


def moves_bits(step: FlowStep) -> bool:
    """Whether an instruction only moves bits of its MOVED_OPERANDS."""
    words = step.entry.words
    if words[0] == "cvt":
        return len(words) == 3 and all(INTEGER.fullmatch(word) for word in words[1:])
    if words[0] == "mul":
        return words[1] in ("lo", "wide") and is_shift(words[1], TYPES[words[2]], step.instruction.operands[-1])
    return words[0] in MOVED_OPERANDS


def is_shift(part: str, kind: Type, factor: Operand) -> bool:
    """Whether this part of a product with the factor is a shift to the left."""
    number = factor.value if isinstance(factor, Immediate) else 0
    if part == "wide" and kind.signed and number == 1 << (kind.bits - 1):
        return False  # as a signed factor it is negative, which only the lower half does not show
    return isinstance(number, int) and number > 0 and number.bit_count() == 1


def takes_part(step: FlowStep) -> bool:
    """Whether the result of an instruction may be without some bits of its operands."""
    copies = step.entry.words[0] in (*CHOSEN, "mov") and len(results(step)) == 1
    return step.entry.opcode in LOGICAL or (moves_bits(step) and not copies)


def element_bytes(step: FlowStep) -> int:
    """The bytes of one element that an access reads or writes; 4 if its modifiers do not say."""
    return next((TYPES[word].bytes for word in reversed(step.entry.words) if word in TYPES), B32.bytes)


def may_split(steps: Sequence[FlowStep], loads: Collection[int], reads: Collection[int]) -> bool:
    """Whether a register may be unwritten in part: another access writes less than one of these loads reads, or one of
    these reads of an unwritten register moves its bits to others."""
    if any(may_be_padding(steps[read]) for read in reads):
        return True
    writes = [step for step in steps if step.entry.words[0] in WRITING and "global" not in step.entry.spaces]
    least = min(map(element_bytes, writes), default=B32.bytes)
    splits = any(element_bytes(steps[load]) > least for load in loads)
    return splits or any(takes_part(steps[read]) for read in reads)


def stored(step: FlowStep, spaces: Collection[tuple[str, ...]] = SPACES) -> tuple[Operand, ...]:
    """The values of a plain store to shared or local memory, one by one; nothing for other instructions."""
    entry = step.entry
    if entry.words[0] != "st" or entry.spaces not in spaces or not NOT_PLAIN.isdisjoint(entry.words):
        return ()
    value = step.instruction.operands[1]
    return value.parts if isinstance(value, Vector) else (value,)


def may_be_padding(step: FlowStep) -> frozenset[str]:
    """The registers of a vector that a plain store to global memory stores after another value."""
    return only_stored(step, GLOBAL).difference(*map(registers, stored(step, GLOBAL)[:1]))


def only_stored(step: FlowStep, spaces: Collection[tuple[str, ...]] = SPACES) -> frozenset[str]:
    """The registers of these values, without those of the address and the guard."""
    if not (values := stored(step, spaces)):
        return frozenset()
    guard = step.instruction.guard
    names = frozenset().union(*map(registers, values)) - frozenset(registers(step.instruction.operands[0]))
    return names - {guard.name} if guard else names


def passes_structure(step: FlowStep, function: Function) -> bool:
    """Whether an instruction stores a part of a structure that a call takes or returns: nothing may use it."""
    target = step.instruction.operands[0] if step.entry.words[:2] == ("st", "param") else None
    if not isinstance(target, Address):
        return False
    variable = function.variables.get(target.variable)
    return variable is not None and variable.array


def waiting_reads(
    step: FlowStep, unwritten: Collection[str], unfit: Collection[str], kept: frozenset[str]
) -> frozenset[str]:
    """The registers among `unwritten` that an instruction reads to compute, choose, shuffle or copy, or as `kept`, the
    values that it stores.

    Not if a computation has a guard: then the compiler has not moved it before its condition. Nor where `mov` packs
    registers: the value may be a part that nothing uses.
    """
    sources, targets = moves(step)
    root, guard = step.entry.words[0], step.instruction.guard
    packs = root == "mov" and any(isinstance(part, Vector) for part in step.instruction.operands[1:])
    if packs or (guard is not None and root not in COPIES) or not targets.isdisjoint(unfit):
        return frozenset()
    return (sources | kept).intersection(unwritten)


@dataclass(frozen=True)
class Deferral:
    """The loads whose report waits, by index; the registers whose reads wait, by the index of the instruction; and the
    registers that have marks."""

    loads: tuple[int, ...]
    reads: Mapping[int, frozenset[str]]
    marked: frozenset[str]
    stores: bool
    """Whether the kernel may store a value that was never written to shared or local memory, and does not use it."""
    bits: bool
    """Whether registers may be unwritten in part; then each register with marks has BITS too."""

    def with_marks(self, function: Function, blocks: Sequence[Block]) -> tuple[Function, list[Block]]:
        """The function and its blocks where the marks are registers too. They live where the registers live that they
        are of."""
        marks = dict.fromkeys((MARK + name for name in self.marked), B32)
        for name in self.marked if self.bits else ():
            if (kind := bits_of(function.registers[name])) is not PRED:
                marks[BITS + name] = kind
        function = replace(function, registers={**function.registers, **marks})

        def and_marks(names: frozenset[str]) -> frozenset[str]:
            return names.union(mark for name in names for mark in (MARK + name, BITS + name) if mark in marks)

        return function, [
            replace(block, live_in=and_marks(block.live_in), live_out=and_marks(block.live_out)) for block in blocks
        ]


def defer(
    steps: Sequence[FlowStep],
    blocks: Sequence[Block],
    unfit: Collection[str],
    unwritten: Collection[str],
    *,
    of_memory: bool,
) -> Deferral | None:
    """What waits in a kernel; None if nothing does. `unfit`: registers that cannot have marks; `unwritten`: those that
    may be read before they are written; `of_memory`: whether loads may wait, and stores leave bytes unwritten."""
    unfit = {CARRY, *unfit}
    if of_memory:
        loads = {index for index, step in enumerate(steps) if may_wait(step)}
        stores = {index: names for index, step in enumerate(steps) if (names := only_stored(step))}
    else:
        loads, stores = set(), {}
    reads = {
        index: names
        for index, step in enumerate(steps)
        if (names := waiting_reads(step, unwritten, unfit, stores.get(index, may_be_padding(step))))
    }
    if sum(map(len, reads.values())) > MOST_READS:
        reads = {}
    if not loads and not reads:
        return None
    bits = may_split(steps, loads, reads)
    slices = Slices(steps, blocks, unfit, [*loads, *reads], bits)
    of_reads = slices.reached(reads)
    reads = {index: names for index, names in reads.items() if not slices.is_used_at_once(index, of_reads)}
    marked = of_reads = slices.reached(reads)
    if any(names & (of_reads | reads.get(index, frozenset())) for index, names in stores.items()):
        return Deferral(tuple(sorted(loads)[:MOST_LOADS]), reads, slices.reached([*loads, *reads]), True, bits)
    copying = slices.copying(loads)
    copies = slices.copies(copying)
    while loads:
        marked = of_reads | copies | slices.marked(loads)
        kept = {index for index in loads if index in copying or not slices.is_used_at_once(index, marked)}
        if kept == loads:
            break
        loads, marked = kept, of_reads
    return Deferral(tuple(sorted(loads)[:MOST_LOADS]), reads, marked, bool(copying), bits) if loads or reads else None


class Slices:
    """The ways of the results of some instructions through those that move marks."""

    def __init__(
        self, steps: Sequence[FlowStep], blocks: Sequence[Block], unfit: set[str], starts: Iterable[int], bits: bool
    ) -> None:
        self.steps, self.unfit, self.bits = steps, unfit, bits
        self.starts = [block.first for block in blocks]
        self.last = [block.last - 1 for block in blocks]
        self.loops = loops_of(blocks)
        in_loops = {index for loop in self.loops for index in loop}
        self.after: dict[str, set[str]] = {}
        """By register, the registers to which an instruction moves its mark."""
        self.after_in_loops: dict[str, set[str]] = defaultdict(set)
        """The same for instructions in loops."""
        self.after_copies: dict[str, set[str]] = defaultdict(set)
        """The same for instructions that copy."""
        self.choices: set[tuple[str, str]] = set()
        """The pairs of these of instructions that may drop the mark."""
        self.droppable: set[str] = set()
        """The registers whose marks may be dropped."""
        self.readers: dict[str, list[int]] = defaultdict(list)
        self.writers: dict[str, list[int]] = defaultdict(list)
        for index, step in enumerate(steps):
            for name in step.operand_reads:
                self.readers[name].append(index)
            for name in step.writes:
                self.writers[name].append(index)
            if step.instruction.guard is not None:
                self.droppable |= step.writes | step.operand_reads
        crossing = set().union(*(block.live_in for block in blocks))
        pending = list(self.results(starts))
        while pending:
            name = pending.pop()
            if name in self.after:
                continue
            self.after[name] = set()
            for index in self.readers[name]:
                sources, targets = moves(steps[index])
                is_chosen = self.may_drop(steps[index], name)
                if is_chosen:
                    self.droppable.add(name)
                if name not in sources:
                    continue
                if is_chosen or steps[index].instruction.guard is not None:
                    self.choices.update((name, target) for target in targets)
                if index in in_loops:
                    self.after_in_loops[name] |= targets
                if steps[index].entry.words[0] in COPYING:
                    self.after_copies[name] |= targets
                self.after[name] |= targets
                pending += targets
        made = {name for name in self.after if any(may_wait(steps[i]) or chosen(steps[i]) for i in self.writers[name])}
        self.droppable |= crossing & closure(made, self.after, most=CROSSING)  # lanes may branch around the use

    def may_drop(self, step: FlowStep, name: str) -> bool:
        """Whether an instruction may give its result no mark though this operand has one."""
        if self.bits and step.entry.words[0] == "st" and element_bytes(step) < B32.bytes:
            return True  # the register may be wider
        if self.bits and name in only_stored(step, GLOBAL):
            return True  # it may be the padding of a structure
        return name in chosen(step) or (self.bits and name in moves(step)[0] and takes_part(step))

    def results(self, indices: Iterable[int]) -> set[str]:
        return {name for index in indices for name in self.steps[index].writes}

    def reached(self, indices: Iterable[int]) -> frozenset[str]:
        """The registers that the results of these instructions reach."""
        return frozenset(closure(self.results(indices), self.after) - self.unfit)

    def copies(self, loads: Iterable[int]) -> frozenset[str]:
        """The registers that have the results of these loads, or copies."""
        return frozenset(closure(self.results(loads), self.after_copies) - self.unfit)

    def copying(self, loads: Iterable[int]) -> set[int]:
        """Those of these loads whose results are stored to shared or local memory as they are."""
        stores = [(index, names) for index, step in enumerate(self.steps) if (names := only_stored(step))]
        return {
            load
            for load in loads
            if any(self.may_follow(load, store) and names & self.copies([load]) for store, names in stores)
        }

    def may_follow(self, earlier: int, later: int) -> bool:
        return earlier < later or any(earlier in loop and later in loop for loop in self.loops)

    def marked(self, loads: Iterable[int]) -> frozenset[str]:
        """The registers that need marks if these loads wait. At a choice inside a loop, the chosen value counts as
        used; other loops have no marks at all."""
        reached = closure(self.results(loads), self.after)
        around = on_cycles(reached, self.after_in_loops)
        choices = {(name, target) for name, target in self.choices if name in around and target in around}
        after = without(choices, self.after)
        fit = reached - on_cycles(around, without(choices, self.after_in_loops)) - self.unfit
        reached = closure(self.results(loads), after, fit)
        near = closure(reached & self.droppable, reverse(after), reached, NEAR)
        return frozenset(closure(self.results(loads), after, near))

    def is_used_at_once(self, read: int, marked: Collection[str]) -> bool:
        """Whether each lane that reads uses the results in the same block anyway. A choice may drop the value that it
        reads, a copy is not reported at once, and a store need not use the value."""
        step = self.steps[read]
        drops = step.entry.words[0] in COPIES or bool(chosen(step)) or bool(stored(step, (*SPACES, *GLOBAL)))
        drops = drops or (self.bits and takes_part(step))
        return not drops and all(
            self.is_used_in_block(read, name, marked) for name in self.steps[read].writes & set(marked)
        )

    def is_used_in_block(self, load: int, name: str, marked: Collection[str]) -> bool:
        writers = self.writers[name]
        end = min([self.last[bisect(self.starts, load) - 1], *writers[bisect(writers, load) :][:1]])
        loading, is_load = self.steps[load].instruction, may_wait(self.steps[load])
        guard, readers = (loading.guard, loading.negated), self.readers[name]
        for index in readers[bisect(readers, load) :]:
            step = self.steps[index]
            if index > end:
                return False
            instruction = step.instruction
            if instruction.guard is not None and (instruction.guard, instruction.negated) != guard:
                continue
            if not is_load and name in only_stored(step):
                continue
            sources, targets = moves(step)
            if not self.may_drop(step, name) and (name not in sources or not targets & set(marked)):
                return True
        return False


def loops_of(blocks: Sequence[Block]) -> list[range]:
    """The instructions between the target and the end of each branch backward."""
    return [
        range(blocks[successor].first, block.last)
        for number, block in enumerate(blocks)
        for successor in block.successors
        if successor <= number
    ]


def closure(
    names: Iterable[str], after: Edges, within: Collection[str] | None = None, most: int | None = None
) -> set[str]:
    """The names that can be reached, through those `within` only, by `most` edges at most."""
    found: set[str] = set()
    reached = {name for name in names if within is None or name in within}
    while reached:
        found |= reached
        if most is not None:
            most -= 1
            if most < 0:
                break
        onward = {other for name in reached for other in after.get(name, ())} - found
        reached = {name for name in onward if within is None or name in within}
    return found


def without(pairs: Collection[tuple[str, str]], after: Edges) -> dict[str, set[str]]:
    return {name: {other for other in others if (name, other) not in pairs} for name, others in after.items()}


def reverse(after: Edges) -> dict[str, set[str]]:
    before: dict[str, set[str]] = defaultdict(set)
    for name, others in after.items():
        for other in others:
            before[other].add(name)
    return before


def on_cycles(names: Collection[str], after: Edges) -> set[str]:
    """The names on cycles, and on ways from one cycle to another: the others have an end in some direction."""
    rest = set(names)
    onward: dict[str, Collection[str]] = {
        name: [other for other in after.get(name, ()) if other in rest] for name in rest
    }
    backward = reverse(onward)
    for ahead, behind in ((onward, backward), (backward, onward)):
        count = {name: sum(other in rest for other in ahead.get(name, ())) for name in rest}
        free = [name for name, number in count.items() if not number]
        while free:
            name = free.pop()
            rest.discard(name)
            for other in behind.get(name, ()):
                if other in rest:
                    count[other] -= 1
                    if not count[other]:
                        free.append(other)
    return rest
