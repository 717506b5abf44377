"""The meaning of each PTX instruction: one module per chapter of the manual, one decorated function per instruction."""

from __future__ import annotations

import functools

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
from ptxbench.emulator.syntax import Address, Dual, Group, Instruction, Negated, Operand, Selected, Symbol, Vector

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
    return entry_for(instruction.opcode, tuple(map(type, instruction.operands)))


@functools.lru_cache(maxsize=4096)
def entry_for(opcode: str, shapes: tuple[type[Operand], ...]) -> Entry | None:
    """The entry for operands of these classes; cached, because a kernel is searched several times."""
    return next((entry for entry in TABLE.get(opcode, ()) if fits(entry, shapes)), None)


def fits(entry: Entry, shapes: tuple[type[Operand], ...]) -> bool:
    if len(entry.operands) != len(shapes):
        return False
    return all(
        (shape is Vector) == form.vector
        and shape is not Group
        and (bool(form.predicate) or shape is not Dual)
        and (form.selector or shape is not Selected)
        and (form.sign or shape is not Negated)
        and (form.kind == "address") == (shape is Address)
        and (form.kind != "label" or shape is Symbol)
        for form, shape in zip(entry.operands, shapes, strict=True)
    )


def nearest(opcode: str) -> list[str]:
    """Up to three known opcodes similar to `opcode`; those of the same instruction first."""
    return TABLE.nearest(opcode)
