"""Calls, by putting the callee's body in their place.

Static registers and no recursion, as PTX without a stack has it: after this a kernel is one function. Formal
parameters stand for the caller's .param variables; a callee's registers, labels and variables get a prefix, so
that each call has its own. (PTX ISA, "call", "Abstracting the ABI".)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.syntax import (
    Address,
    Dual,
    Function,
    Group,
    Immediate,
    Instruction,
    Module,
    Negated,
    Not,
    Operand,
    Register,
    Selected,
    Symbol,
    Variable,
    Vector,
)
from ptxbench.errors import UnsupportedInstruction

HOST_FUNCTIONS = ("vprintf", "__assertfail")
"""Functions that the emulator provides; a call of one becomes the instruction `call.NAME`."""
MOST_INSTRUCTIONS = 200_000
"""A kernel that grows beyond this is refused: calls within calls can multiply."""


def inline_calls(module: Module, function: Function) -> Function:
    """`function` without calls. Raises UnsupportedInstruction for recursion, indirect calls and missing bodies."""
    if not any(is_call(instruction) for instruction in function.instructions):
        return function
    inliner = Inliner(module, function)
    inliner.body(function, "", {}, (function.name,), "")
    return inliner.result


def is_call(instruction: Instruction) -> bool:
    return instruction.opcode.split(".")[0] == "call"


class Inliner:
    def __init__(self, module: Module, function: Function) -> None:
        self.module = module
        self.calls = 0
        self.result = replace(function, registers={}, variables={}, instructions=[], labels={}, branch_targets={})

    def emit(self, instruction: Instruction) -> None:
        if len(self.result.instructions) >= MOST_INSTRUCTIONS:
            raise UnsupportedInstruction(
                f"line {instruction.line}: with calls written out the kernel passes {MOST_INSTRUCTIONS:,} instructions."
            )
        self.result.instructions.append(instruction)

    def body(
        self, function: Function, prefix: str, actual: Mapping[str, Symbol], callers: tuple[str, ...], end: str
    ) -> None:
        """Append the body of `function`; where it returns, it goes to the label `end` ("" in the kernel itself)."""
        self.result.registers.update((prefix + name, kind) for name, kind in function.registers.items())
        self.result.variables.update(
            (prefix + name, replace(variable, name=prefix + name)) for name, variable in function.variables.items()
        )
        self.result.branch_targets.update(
            (prefix + name, tuple(prefix + label for label in labels))
            for name, labels in function.branch_targets.items()
        )
        at: dict[int, list[str]] = {}
        for label, index in function.labels.items():
            at.setdefault(index, []).append(prefix + label)
        rename = Renamer(function, prefix, actual)
        for index, instruction in enumerate(function.instructions):
            self.place(at.get(index, ()))
            renamed = rename.instruction(instruction)
            if is_call(instruction):
                self.call(renamed, callers)
            elif end and instruction.opcode in ("ret", "ret.uni"):
                self.emit(replace(renamed, opcode="bra", operands=(Symbol(end),)))
            else:
                self.emit(renamed)
        self.place(at.get(len(function.instructions), ()))

    def place(self, labels: list[str] | tuple[str, ...]) -> None:
        self.result.labels.update((label, len(self.result.instructions)) for label in labels)

    def call(self, instruction: Instruction, callers: tuple[str, ...]) -> None:
        line = instruction.line
        operands = list(instruction.operands)
        returned = operands.pop(0).parts if isinstance(operands[0], Group) else ()  # type: ignore[union-attr]
        target = operands.pop(0)
        given = operands.pop(0).parts if operands and isinstance(operands[0], Group) else ()  # type: ignore[union-attr]
        if not isinstance(target, Symbol):
            raise UnsupportedInstruction(f"line {line}: the emulator does not know indirect calls (call by register).")
        if target.name in HOST_FUNCTIONS:
            places = [Address(each) if isinstance(each, Symbol) else each for each in (*returned, *given)]
            self.emit(replace(instruction, opcode=f"call.{target.name}", operands=tuple(places)))
            return
        callee = self.module.functions.get(target.name)
        if callee is None or not callee.defined:
            raise UnsupportedInstruction(
                f"line {line}: '{target.name}' has no body in this file; the emulator links none."
            )
        if callee.name in callers:
            raise UnsupportedInstruction(f"line {line}: '{callee.name}' calls itself; the emulator has no recursion.")
        if len(given) != len(callee.params) or len(returned) != len(callee.returns):
            raise syntax_error(
                line,
                f"'{callee.name}' takes {len(callee.params)} and returns {len(callee.returns)}; the call has "
                f"{len(given)} and {len(returned)}.",
            )
        self.calls += 1
        prefix = f"{callee.name}#{self.calls}:"
        returning, end = prefix + "return", prefix + "end"
        if instruction.guard is not None:  # a branch around the body
            self.emit(replace(instruction, opcode="bra", operands=(Symbol(end),), negated=not instruction.negated))
        actual: dict[str, Symbol] = {}
        for formal, operand in zip((*callee.params, *callee.returns), (*given, *returned), strict=True):
            if formal.space == "param" and isinstance(operand, Symbol):
                actual[formal.name] = operand
            elif formal.space == "param":
                actual[formal.name] = Symbol(prefix + formal.name)
                self.result.variables[prefix + formal.name] = replace(formal, name=prefix + formal.name)
        for formal, operand in zip(callee.params, given, strict=True):
            self.hand_over(formal, operand, prefix, line, inward=True)
        self.body(callee, prefix, actual, (*callers, callee.name), returning)
        self.place((returning,))
        for formal, operand in zip(callee.returns, returned, strict=True):
            self.hand_over(formal, operand, prefix, line, inward=False)
        self.place((end,))

    def hand_over(self, formal: Variable, operand: Operand, prefix: str, line: int, *, inward: bool) -> None:
        """Copy a value that is not a .param variable of the caller's: a register or a number."""
        if formal.space == "param" and isinstance(operand, Symbol):
            return
        if formal.space == "param":
            at = Address(Symbol(prefix + formal.name))
            kind = f".param.{formal.type}"
            move = (
                Instruction(line, f"st{kind}", (at, operand))
                if inward
                else Instruction(line, f"ld{kind}", (operand, at))
            )
        else:
            register = Register(prefix + formal.name)
            move = Instruction(line, f"mov.{formal.type}", (register, operand) if inward else (operand, register))
        self.emit(move)


class Renamer:
    """Operands of a function's instructions as they read in the kernel."""

    def __init__(self, function: Function, prefix: str, actual: Mapping[str, Symbol]) -> None:
        self.prefix = prefix
        self.actual = actual
        self.own = function.variables.keys() | function.labels.keys() | function.branch_targets.keys()

    def instruction(self, instruction: Instruction) -> Instruction:
        guard = instruction.guard
        return replace(
            instruction,
            operands=tuple(self.operand(operand) for operand in instruction.operands),
            guard=Register(self.prefix + guard.name) if guard is not None else None,
        )

    def symbol(self, symbol: Symbol) -> Symbol:
        if symbol.name in self.actual:
            given = self.actual[symbol.name]
            return Symbol(given.name, given.offset + symbol.offset)
        return Symbol(self.prefix + symbol.name, symbol.offset) if symbol.name in self.own else symbol

    def operand(self, operand: Operand) -> Operand:
        if isinstance(operand, Register):
            return Register(self.prefix + operand.name)
        if isinstance(operand, Symbol):
            return self.symbol(operand)
        if isinstance(operand, Address):
            base = self.operand(operand.base)
            assert isinstance(base, Register | Symbol | Immediate)
            return Address(base, operand.offset)
        if isinstance(operand, Vector | Group):
            return replace(operand, parts=tuple(self.operand(part) for part in operand.parts))
        if isinstance(operand, Dual):
            return Dual(self.operand(operand.first), self.operand(operand.second))
        if isinstance(operand, Not | Negated):
            return replace(operand, operand=self.operand(operand.operand))
        if isinstance(operand, Selected):
            return replace(operand, register=Register(self.prefix + operand.register.name))
        return operand
