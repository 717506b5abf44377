"""The buffer that a bad address is meant for: the one whose pointer it is computed from, by the kernel's text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ptxbench.emulator.memory import Buffer
from ptxbench.emulator.syntax import Address, Function, Instruction, Register, Symbol, registers
from ptxbench.emulator.variables import lay_out_parameters

POINTER_BYTES = 8
LOADS = ("ld.", "ldu.", "atom.", "shfl.")
"""Instructions whose results are not computed from their operands."""


def meant_buffer(function: Function, line: int, params: bytes, buffers: Sequence[Buffer]) -> Buffer | None:
    """The buffer whose pointer alone the addresses of a line are computed from; None if there are several, or none.

    `params`: the packed parameters of the launch.
    """
    offsets = pointer_offsets(function, line)
    pointers = {int.from_bytes(params[offset : offset + POINTER_BYTES], "little") for offset in offsets}
    found = [buffer for buffer in buffers if any(buffer.low <= pointer <= buffer.high for pointer in pointers)]
    return found[0] if len(found) == 1 else None


def pointer_offsets(function: Function, line: int) -> set[int]:
    """The offsets of the parameters of 64 bits from which the addresses of a line are computed, except by memory."""
    placed, _ = lay_out_parameters(function)
    writers: dict[str, list[Instruction]] = defaultdict(list)
    for instruction in function.instructions:
        if instruction.operands and not isinstance(instruction.operands[0], Address):
            for name in registers(instruction.operands[0]):
                writers[name].append(instruction)
    waiting = [
        operand.base.name
        for instruction in function.instructions
        if instruction.line == line
        for operand in instruction.operands
        if isinstance(operand, Address) and isinstance(operand.base, Register)
    ]
    seen: set[str] = set()
    offsets: set[int] = set()
    while waiting:
        if (name := waiting.pop()) in seen:
            continue
        seen.add(name)
        for writer in writers[name]:
            if writer.opcode.startswith("ld.param") and writer.opcode.endswith("64"):
                number = list(registers(writer.operands[0])).index(name)
                base, offset = parameter(writer)
                offsets.update([placed[base] + offset + POINTER_BYTES * number] if base in placed else [])
            elif not writer.opcode.startswith(LOADS):
                waiting += [read for operand in writer.operands[1:] for read in registers(operand)]
    return offsets


def parameter(load: Instruction) -> tuple[str, int]:
    """The name of the parameter that a load reads, and the offset in it; no name if it is in a register."""
    address = load.operands[1]
    if isinstance(address, Address) and isinstance(address.base, Symbol):
        return address.base.name, address.base.offset + address.offset
    return "", 0
