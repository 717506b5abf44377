"""Each instruction with its entry of the table, or all that have none in one error."""

from __future__ import annotations

from collections.abc import Sequence

from ptxbench.emulator.flow import Step
from ptxbench.emulator.isa import find, nearest
from ptxbench.emulator.isa.unsupported import why
from ptxbench.emulator.syntax import Function, Instruction
from ptxbench.errors import UnsupportedInstruction


def resolve(function: Function) -> list[Step]:
    """Each instruction with its entry. Raises UnsupportedInstruction that lists all that have none."""
    steps, unknown = [], []
    for instruction in function.instructions:
        entry = find(instruction)
        if entry is None:
            unknown.append(instruction)
        else:
            steps.append(Step(instruction, entry))
    if unknown:
        raise UnsupportedInstruction("; ".join(describe_unknown(unknown)))
    return steps


def describe_unknown(unknown: Sequence[Instruction]) -> list[str]:
    """One sentence for each opcode, at the first line where it stands."""
    first = {instruction.opcode: instruction.line for instruction in reversed(unknown)}
    sentences = []
    for opcode, line in sorted(first.items(), key=lambda item: item[1]):
        missing, close = why(opcode), nearest(opcode)
        if missing:
            sentences.append(f"line {line}: '{opcode}' is not supported: {missing.reason}")
        elif opcode in close:
            sentences.append(f"line {line}: the emulator does not know '{opcode}' with these operands")
        else:
            hint = f"; nearest: {', '.join(close)}" if close else ""
            sentences.append(f"line {line}: the emulator does not know '{opcode}'{hint}")
    return sentences
