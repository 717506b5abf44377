"""A launch: every CTA of the grid, several at once where their order cannot be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ptxbench.emulator.parse import choose, parsed
from ptxbench.emulator.syntax import Function, Instruction, Register, Vector
from tests.emulator.oracle import (  # noqa: F401  their rules
    atomics,
    bits,
    comparisons,
    control,
    conversions,
    copies,
    floats,
    integers,
    loads,
    matrix,
    mbarriers,
    moves,
    warp,
    warpgroup,
)
from tests.emulator.oracle.counters import LANES, Counters
from tests.emulator.oracle.loops import loops
from tests.emulator.oracle.machine import Threads
from tests.emulator.oracle.memory import Memory
from tests.emulator.oracle.step import Missing, Step


def interpret(
    ptx: str,
    entry: str | None,
    *,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    args: Sequence[Any],
    dynamic_shared_bytes: int = 0,
    threads_at_once: int = 1 << 18,
    fused: bool = True,
    counters: Counters | None = None,
) -> None:
    """Run a kernel on NumPy arrays and scalars, which it updates in place, CTAs by rank.

    `threads_at_once`: CTAs run together as long as they have no more threads than that; one after the other, warp by
    warp, where their order can be seen. `fused`: fma rounds once; without it a product and a sum in f64 are rounded to
    f64 and then to f32, and no order is kept, which is quicker and sometimes wrong. `counters`: where to count.
    Raises Missing.
    """
    module = parsed(ptx)
    function = choose(module, entry)
    steps, missing = decode(function)
    if missing:
        raise Missing("; ".join(missing))
    memory = Memory(module, function, args, dynamic_shared_bytes)
    warps = -(-(block[0] * block[1] * block[2]) // LANES)
    ctas = grid[0] * grid[1] * grid[2]
    in_turn = fused and order_shows(function)
    by_header = {} if counters is None else loops(steps)
    together = 1 if in_turn else max(1, threads_at_once // (warps * LANES))
    with np.errstate(all="ignore"):
        for first in range(0, ctas, together):
            ranks = np.arange(first, min(first + together, ctas))
            threads = Threads(
                function,
                steps,
                by_header,
                memory,
                grid,
                block,
                ranks,
                fused=fused,
                in_turn=in_turn,
                counters=counters,
            )
            threads.run()
    memory.give_back(args)


def lacking(ptx: str, entry: str | None = None) -> list[str]:
    """The features that the interpreter lacks for a kernel: line, instruction and feature."""
    return decode(choose(parsed(ptx), entry))[1]


def decode(function: Function) -> tuple[list[Step], list[str]]:
    steps, missing = [], []
    for instruction in function.instructions:
        try:
            steps.append(Step(instruction, function))
        except Missing as error:
            missing.append(str(error))
    return steps, missing


def order_shows(function: Function) -> bool:
    """Whether results could tell in which order warps ran: float atomics, old values that are read, loads that wait."""
    looked_at = {name for instruction in function.instructions for name in read_by(instruction)}
    for instruction in function.instructions:
        root, *words = instruction.opcode.split(".")
        if root in ("atom", "red") and (words[-1][0] == "f" or words[-1][:2] == "bf" or {"exch", "cas"} & set(words)):
            return True
        if root == "atom" and looked_at & set(registers(instruction.operands[0])):
            return True
        if root == "ld" and {"acquire", "relaxed", "volatile", "mmio"} & set(words):
            return True
    return False


def registers(operand: Any) -> list[str]:
    if isinstance(operand, Register):
        return [operand.name]
    if isinstance(operand, Vector):
        return [name for part in operand.parts for name in registers(part)]
    inner = [getattr(operand, part, None) for part in ("base", "operand", "first", "second", "register")]
    return [name for part in inner if part is not None for name in registers(part)]


def read_by(instruction: Instruction) -> list[str]:
    root = instruction.opcode.split(".")[0]
    operands = instruction.operands if root in ("st", "red", "bra") else instruction.operands[1:]
    names = [name for operand in operands for name in registers(operand)]
    return names + ([instruction.guard.name] if instruction.guard else [])
