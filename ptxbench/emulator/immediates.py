"""Operands of the current instruction that must be numbers in the text."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.syntax import Immediate, Operand

if TYPE_CHECKING:
    from ptxbench.emulator.warp_ops import WarpOps


def operand(ops: WarpOps, name: str) -> Operand:
    """The operand with that name in the table."""
    assert ops.instruction is not None
    return ops.instruction.operands[ops.operand_names.index(name)]


def number(ops: WarpOps, name: str, allowed: Container[int], expected: str) -> int:
    """The value of an operand that must be a number in `allowed`."""
    return one_of(ops, operand(ops, name), allowed, expected)


def one_of(ops: WarpOps, argument: Operand, allowed: Container[int], expected: str) -> int:
    """The value of `argument`, which must be a number in `allowed`. `expected`: what the error says of these."""
    if not isinstance(argument, Immediate) or argument.value not in allowed:
        shown = str(argument.value) if isinstance(argument, Immediate) else "a register"
        raise syntax_error(ops.line, f"expected {expected}, found {shown}.")
    return int(argument.value)
