"""Which bits of a register were never written, for kernels where that may differ within one register.

Structures have padding, and vectors of narrow values have ends. A compiler loads them as whole words, and then takes
the part that it needs, by `prmt`, a shift, a mask or a conversion. So a register with a mark (marks.py) also has such
bits. An instruction that only moves bits does the same with them as with the values. `and` and `or` ignore a bit if the
bit of the other operand alone determines the result. Every other result is unwritten as a whole. (The rules are those
of Memcheck: Seward and Nethercote, "Using Valgrind to detect undefined value errors with bit-precision", 2005.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ptxbench.emulator.definedness import BITS, LOGICAL, MOVED_OPERANDS, moves_bits, results
from ptxbench.emulator.emit import Value
from ptxbench.emulator.flow import FlowStep
from ptxbench.emulator.syntax import Operand, Register, Vector, registers
from ptxbench.emulator.types import B32, PRED, Type, bits_of

if TYPE_CHECKING:
    from ptxbench.emulator.isa.table import OperandForm
    from ptxbench.emulator.registers import KernelState


MarkOf = Callable[[Sequence[str]], Value]


class UnwrittenBits:
    """Emits what the current instruction does with these bits. `marks_of`: the mark of registers by name, `of_waiting`:
    only of those that were not written yet."""

    def __init__(self, kernel: KernelState, marks_of: MarkOf, of_waiting: MarkOf) -> None:
        self.kernel, self.e, self.marks_of, self.of_waiting = kernel, kernel.e, marks_of, of_waiting

    def of(self, name: str) -> Value:
        """Those of a register, in its width."""
        kind = bits_of(self.kernel.function.registers[name])
        if BITS + name not in self.kernel.function.registers:
            return self.everywhere(self.marks_of([name]), kind)
        return self.e.or_(self.e.bits(self.kernel.get(BITS + name)), self.everywhere(self.of_waiting([name]), kind))

    def everywhere(self, mark: Value, kind: Type) -> Value:
        """Every bit in lanes with a mark, and none in others."""
        return self.where(mark, self.e.constant(-1, kind))

    def where(self, some: Value, value: Value) -> Value:
        """The value in lanes where `some` is not 0, and 0 in others."""
        zero = self.e.constant(0, value.type)
        if some.constant == 0:
            return zero
        return self.e.select(self.e.compare("ne", some, self.e.constant(0, some.type)), value, zero)

    def read(self, operand: Operand, form: OperandForm) -> Value | tuple[Value, ...]:
        """Those of an operand, in the form's type."""
        if isinstance(operand, Vector):
            return tuple(self.read_one(part, form.type) for part in operand.parts)
        return self.read_one(operand, form.type)

    def read_one(self, operand: Operand, kind: Type | None) -> Value:
        names = registers(operand)
        kind = kind or (self.kernel.function.registers[names[0]] if names else B32)
        if isinstance(operand, Register):
            return self.kernel.fit(self.of(operand.name), kind)
        return self.e.as_type(self.everywhere(self.marks_of(names), bits_of(kind)), kind)

    def moved(self, step: FlowStep, mark: Value) -> list[Value]:
        """Those of the results, one by one, in the operands' types. `mark`: of all operands."""
        entry = step.entry
        if entry.opcode in LOGICAL:
            return [self.logical(step)]
        if not moves_bits(step):
            kinds = [self.kernel.function.registers[registers(target)[0]] if registers(target) else PRED
                     for target in results(step)]  # fmt: skip
            return [self.everywhere(mark, bits_of(kind)) for kind in kinds]
        among = MOVED_OPERANDS[entry.words[0]]
        arguments: dict[str, Any] = {"e": self.e, "ops": self.kernel.ops, **entry.arguments}
        others: list[str] = []
        for form, operand in zip(entry.operands, step.instruction.operands, strict=True):
            if form.name in among:
                arguments[form.name] = self.read(operand, form)
            elif form.kind != "target":
                arguments[form.name] = self.kernel.read(operand, form, step.instruction.line)
                others += registers(operand)
        arguments["count"] = len(results(step))
        moved = entry.body(**{name: value for name, value in arguments.items() if name in entry.asks})
        values = list(moved) if isinstance(moved, tuple) else [moved]
        control = self.marks_of(others)
        return [self.e.or_(bits := self.e.bits(value), self.everywhere(control, bits.type)) for value in values]

    def logical(self, step: FlowStep) -> Value:
        """Those of `and`, `or`, `xor` and `not`."""
        entry, line = step.entry, step.instruction.line
        forms, operands = entry.operands[1:], step.instruction.operands[1:]
        bits = [self.read_one(operand, form.type) for form, operand in zip(forms, operands, strict=True)]
        result = functools.reduce(self.e.or_, bits)
        if entry.words[0] not in ("and", "or"):
            return result
        for form, operand, unwritten in zip(forms, operands, bits, strict=True):
            value = self.kernel.read_value(operand, form.type, line)
            matters = value if entry.words[0] == "and" else self.e.not_(value)
            result = self.e.and_(result, self.e.or_(matters, unwritten))
        return result
