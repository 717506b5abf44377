"""The meaning of each PTX instruction: one module per chapter of the manual, one decorated function per instruction."""

from __future__ import annotations

from ptxbench.emulator.isa import (
    async_copy,
    atomic,
    bulk_copy,
    cluster,
    compare,
    control,
    convert,
    extended,
    floating,
    half,
    host,
    integer,
    logic,
    matrix,
    matrix_memory,
    memory,
    move,
    narrow,
    packed,
    scaled_matrix,
    sparse_matrix,
    sparse_warpgroup,
    stack,
    tensor_copy,
    tensor_map,
    video,
    warp,
    warpgroup,
)
from ptxbench.emulator.isa.table import TABLE, Entry
from ptxbench.emulator.syntax import Address, Dual, Group, Instruction, Negated, Selected, Symbol, Vector

CHAPTERS = (
    integer,
    packed,
    extended,
    video,
    floating,
    half,
    compare,
    logic,
    move,
    convert,
    narrow,
    memory,
    atomic,
    async_copy,
    bulk_copy,
    tensor_copy,
    tensor_map,
    cluster,
    warp,
    matrix_memory,
    matrix,
    scaled_matrix,
    sparse_matrix,
    warpgroup,
    sparse_warpgroup,
    control,
    stack,
    host,
)

__all__ = ["CHAPTERS", "TABLE", "Entry", "find", "nearest"]


def find(instruction: Instruction) -> Entry | None:
    """The entry with the instruction's opcode and operand shapes, or None."""
    return next((entry for entry in TABLE.get(instruction.opcode, ()) if fits(entry, instruction)), None)


def fits(entry: Entry, instruction: Instruction) -> bool:
    if len(entry.operands) != len(instruction.operands):
        return False
    return all(
        isinstance(operand, Vector) == form.vector
        and not isinstance(operand, Group)
        and (bool(form.predicate) or not isinstance(operand, Dual))
        and (form.selector or not isinstance(operand, Selected))
        and (form.sign or not isinstance(operand, Negated))
        and (form.kind == "address") == isinstance(operand, Address)
        and (form.kind != "label" or isinstance(operand, Symbol))
        for form, operand in zip(entry.operands, instruction.operands, strict=True)
    )


def nearest(opcode: str) -> list[str]:
    """Up to three known opcodes similar to `opcode`; those of the same instruction first."""
    return TABLE.nearest(opcode)
