"""The code for marks of values that were never written (definedness.py), instruction by instruction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from ptxbench.emulator.definedness import (
    BITS,
    CHOSEN,
    GLOBAL,
    LOGIC,
    MARK,
    Deferral,
    chosen,
    moves,
    only_stored,
    passes_structure,
    results,
    stored,
)
from ptxbench.emulator.emit import Computation, Emitter, Value
from ptxbench.emulator.flow import FlowStep
from ptxbench.emulator.layout import Site
from ptxbench.emulator.runtime import context, marks
from ptxbench.emulator.runtime.context import V32
from ptxbench.emulator.syntax import Immediate, Operand, Register, registers
from ptxbench.emulator.types import B32, PRED, bits_of
from ptxbench.emulator.unwritten_bits import UnwrittenBits

if TYPE_CHECKING:
    from ptxbench.emulator.registers import KernelState

GREATER: dict[Any, Computation] = {}
"""The function for the greater of two marks."""
ZERO = Immediate(0)
DECIDED: dict[Any, Computation] = {}
"""The functions for the marks of `and` and `or` of predicates, by the operation."""


class Unwritten(NamedTuple):
    """What is known of a value: its mark, and its bits that were never written; None: all or none, by the mark."""

    mark: Value
    bits: Value | None = None


class Marks:
    """Emits what the current instruction does with marks. Before it is executed: `before`; after: `after`."""

    def __init__(self, kernel: KernelState, deferral: Deferral) -> None:
        self.kernel, self.e, self.ops = kernel, kernel.e, kernel.ops
        self.marked = deferral.marked
        self.read = frozenset().union(*(step.operand_reads for step in kernel.steps))
        self.numbers = {load: number for number, load in enumerate(deferral.loads, 1)}
        """By the index of a load, its number in marks."""
        self.reads, self.stores = deferral.reads, deferral.stores
        self.bits, self.splits = UnwrittenBits(kernel, self.of, self.of_waiting), deferral.bits
        self.nothing = Unwritten(self.e.constant(0, B32))
        self.ops.watching.splits = self.splits
        reads = [(index, name) for index, names in deferral.reads.items() for name in sorted(names)]
        self.read_numbers = {read: number for number, read in enumerate(reads)}
        """By the index of an instruction and a register that it reads, the number of the read in marks."""
        self.index = 0
        """The index of the current instruction."""
        self.first_slot = self.ops.next_slot
        for load in deferral.loads:
            self.add_site(load, kernel.steps[load].entry.spaces[0], "load")
        self.first_read_slot = self.ops.next_slot
        for index, name in reads:
            self.add_site(index, "none", name)

    def add_site(self, index: int, space: str, kind: str) -> None:
        self.ops.sites.append(Site(index, self.ops.reserve_counters(context.SITE_SLOTS), space, kind, 0))

    def waiting(self, index: int) -> frozenset[str]:
        """The registers whose report as never written waits, if this instruction reads them."""
        return self.reads.get(index, frozenset())

    def before(self, index: int, guard: Value | None) -> None:
        """Move the marks of operands to results, and report those of values that are used."""
        step, self.index = self.kernel.steps[index], index
        self.ops.waiting_load = self.numbers.get(index, 0)
        if step.instruction.guard is not None:
            self.use(self.of([step.instruction.guard.name]), self.ops.mask)
        sources, targets = moves(step)
        kept = only_stored(step) if self.stores else frozenset()
        if passes_structure(step, self.kernel.function):
            kept = step.operand_reads
        padded = only_stored(step, GLOBAL) if self.splits else frozenset()
        self.use(self.of_operands(step, step.operand_reads - sources - kept - padded), self.ops.active)
        if not padded.isdisjoint(self.marked | self.waiting(index)):
            self.use(self.of_copied(step), self.ops.active)
        self.ops.watching.stored_bits = [self.stored_bits(step, part, kept) for part in stored(step) if kept]
        moved = self.moved(step, sources, targets)
        for name in sorted(targets - self.marked):
            if name in self.read:
                self.use(moved[name].mark, self.ops.active)
        if not self.ops.waiting_load:
            for name in sorted(step.writes & self.marked):
                self.put(name, moved.get(name, self.nothing), guard)

    def after(self, step: FlowStep, guard: Value | None) -> None:
        """Write the marks of the values that a load reads, if its report waits."""
        if not self.ops.waiting_load:
            return
        watching = self.ops.watching
        for operand, mark, bits in zip(results(step), watching.marks, watching.bits, strict=True):
            if not isinstance(operand, Register) or operand.name not in self.read:
                continue
            if operand.name in self.marked:
                bits = bits if bits is None else self.e.as_type(bits, step.entry.operands[0].type or bits.type)
                self.put(operand.name, Unwritten(mark, bits), guard)
            else:
                self.use(mark, self.ops.active)

    def put(self, name: str, value: Unwritten, guard: Value | None) -> None:
        self.kernel.put(Register(MARK + name), value.mark, guard, self.ops.line)
        kind = self.kernel.function.registers.get(BITS + name)
        if kind is not None:
            bits = self.bits.everywhere(value.mark, kind) if value.bits is None else value.bits
            self.kernel.put(Register(BITS + name), bits, guard, self.ops.line)

    def of(self, names: Iterable[str]) -> Value:
        """The mark of a value that is computed from these registers: a mark of one of them."""
        names, result = frozenset(names), self.e.constant(0, B32)
        for name in sorted(self.marked & names):
            result = self.greater(result, self.kernel.get(MARK + name))
        return self.greater(result, self.of_waiting(names))

    def of_waiting(self, names: Iterable[str]) -> Value:
        """The mark of those of these registers that lanes have not written yet, if their report waits."""
        result = self.e.constant(0, B32)
        for name in sorted(self.waiting(self.index).intersection(names) - self.kernel.noted):
            result = self.greater(result, self.of_unwritten(name))
        return result

    def of_unwritten(self, name: str) -> Value:
        """The mark of a register that lanes have not written when the current instruction reads it."""
        function, number = self.ops.function(marks.UNWRITTEN_REGISTER), self.read_numbers[self.index, name]
        at = self.kernel.defined_at(name)
        return Value(self.e.op(f"call {V32} @{function}(ptr {at}, i32 {number})"), B32)

    def of_operands(self, step: FlowStep, names: frozenset[str]) -> Value:
        """The mark of what an instruction reads in these registers, which may be wider than its operands."""
        if not self.splits:
            return self.of(names)
        result = self.e.constant(0, B32)
        for form, operand in zip(step.entry.operands, step.instruction.operands, strict=True):
            for name in names.intersection(registers(operand)) if form.kind != "target" else ():
                mark, kind = self.of([name]), form.type
                if kind is not None and form.kind == "value" and kind.bits < self.kernel.function.registers[name].bits:
                    part = self.kernel.fit(self.bits.of(name), bits_of(kind))
                    mark = self.bits.where(part, mark)
                result = self.greater(result, mark)
        return result

    def of_copied(self, step: FlowStep) -> Value:
        """The mark of what a store to global memory uses: a value or a vector whose first bit was never written. Others
        may be structures, which begin with a member and have padding after it."""
        first = stored(step, GLOBAL)[0]
        bits = self.e.bits(self.bits.read_one(first, step.entry.operands[1].type))
        return self.bits.where(self.e.and_(bits, self.e.constant(1, bits.type)), self.of(registers(first)))

    def stored_bits(self, step: FlowStep, part: Operand, kept: frozenset[str]) -> Value:
        """The bits of a stored value that were never written."""
        return self.bits.read_one(part if kept.intersection(registers(part)) else ZERO, step.entry.operands[1].type)

    def greater(self, a: Value, b: Value) -> Value:
        if a.constant == 0 or b.constant == 0:
            return b if a.constant == 0 else a
        return self.e.together("mark", GREATER, "greater", lambda e, values: e.max(*values), [a, b])

    def moved(self, step: FlowStep, sources: frozenset[str], targets: frozenset[str]) -> dict[str, Unwritten]:
        """What an instruction moves from these registers to its results."""
        if sources.isdisjoint(self.marked | self.waiting(self.index)):
            return dict.fromkeys(targets, self.nothing)
        if step.entry.opcode in LOGIC:
            mark = self.decided(step)
        elif step.entry.words[0] in CHOSEN:
            mark = self.chosen(step)
        else:
            mark = self.of_operands(step, sources)
        if not self.splits:
            return dict.fromkeys(targets, Unwritten(mark))
        moved = {}
        for target, bits in zip(results(step), self.bits.moved(step, mark), strict=False):  # not the predicate of shfl
            if isinstance(target, Register):
                moved[target.name] = Unwritten(self.bits.where(bits, mark), bits)
        return moved

    def chosen(self, step: FlowStep) -> Value:
        """That of the chosen operand: what the instruction does with the marks in place of the values."""
        entry, among = step.entry, CHOSEN[step.entry.words[0]]
        arguments: dict[str, Any] = {"e": self.e, "ops": self.ops, **entry.arguments}
        for form, operand in zip(entry.operands, step.instruction.operands, strict=True):
            if form.name in among:
                arguments[form.name] = self.of(registers(operand))
            elif form.kind != "target":
                arguments[form.name] = self.kernel.read(operand, form, step.instruction.line)
        self.ops.moves_marks = True
        result = entry.body(**{name: value for name, value in arguments.items() if name in entry.asks})
        self.ops.moves_marks = False
        mark: Value = result[0] if isinstance(result, tuple) else result
        return self.greater(mark, self.of(moves(step)[0] - chosen(step)))

    def decided(self, step: FlowStep) -> Value:
        """That of an operand, unless the other one alone decides the result."""
        operands = step.instruction.operands[1:]
        values = [self.kernel.read_value(operand, PRED, step.instruction.line) for operand in operands]
        marks_of_operands = [self.of(registers(operand)) for operand in operands]
        deciding = LOGIC[step.entry.opcode]

        def build(e: Emitter, inputs: Any) -> Value:
            a, b, mark_a, mark_b = inputs
            zero = e.constant(0, B32)
            kept = []
            for mark, other, mark_of_other in ((mark_a, b, mark_b), (mark_b, a, mark_a)):
                decides = e.and_(e.compare("eq", mark_of_other, zero), other if deciding else e.not_(other))
                kept.append(e.select(decides, zero, mark))
            return e.max(*kept)

        return self.e.together("mark", DECIDED, step.entry.opcode, build, [*values, *marks_of_operands])

    def use(self, mark: Value, lanes: str) -> None:
        """Report the reads of the marks that lanes have."""
        if mark.constant != 0:
            used = self.ops.function(marks.USED)
            slots = f"i64 {self.first_slot}, i64 {self.first_read_slot}"
            self.e.line(f"call void @{used}({V32} {mark.ir}, i32 {lanes}, ptr %env, {slots})")
