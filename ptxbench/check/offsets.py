"""The distance of an address from the start of its variable, where the text adds up constants only."""

from __future__ import annotations

from collections.abc import Mapping

from ptxbench.check.roots import NO_RESULT, value_of, written_registers
from ptxbench.emulator.syntax import Address, Function, Instruction, Operand, Register, Symbol

UNCHANGED = ("mov.", "cvta.", "cvt.u32.u64", "cvt.u64.u32")
"""Instructions whose result is their operand, as far as distances go."""

Definitions = Mapping[str, Instruction]
"""The instruction that writes each register, of those that one instruction without a guard writes."""


def definitions(function: Function) -> Definitions:
    written: dict[str, list[Instruction]] = {}
    for instruction in function.instructions:
        results = instruction.operands[:1] if not instruction.opcode.startswith(NO_RESULT) else ()
        # which operands of a call are its results is not known here
        for operand in instruction.operands if instruction.opcode.startswith("call") else results:
            for name in written_registers(operand):
                written.setdefault(name, []).append(instruction)
    return {name: one for name, (one, *more) in written.items() if not more and one.guard is None}


def distance(address: Operand, defined: Definitions, constants: Mapping[str, int]) -> tuple[str, int] | None:
    """A variable and the bytes from its start to `address`; None if other values than constants are added.

    `constants`: registers with a constant value (`roots.constants`).
    """
    offset = 0
    for _ in range(len(defined) + 2):  # a register that is computed from itself has no end
        match address:
            case Address():
                offset += address.offset
                address = address.base
            case Symbol():
                return address.name, offset + address.offset
            case Register() if address.name in defined:
                step = defined[address.name]
                sources = step.operands[1:]
                if step.opcode.startswith(UNCHANGED) and len(sources) == 1:
                    address = sources[0]
                elif step.opcode.startswith(("add.", "sub.")) and len(sources) == 2:
                    sign = -1 if step.opcode.startswith("sub.") else 1
                    first, second = (value_of(source, constants) for source in sources)
                    if second is not None:
                        offset, address = offset + sign * second, sources[0]
                    elif first is not None and sign == 1:
                        offset, address = offset + first, sources[1]
                    else:
                        return None
                else:
                    return None
            case _:
                return None
    return None
