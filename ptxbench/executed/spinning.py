"""Loops that depend on the schedule: they wait for other threads, or take their work by atomics.

A warp's trips there depend on the progress of other threads, so counts of one launch do not predict another one.
"""

from __future__ import annotations

from collections.abc import Mapping

from ptxbench.emulator.syntax import (
    Address,
    Dual,
    Element,
    Group,
    Instruction,
    Not,
    Operand,
    Register,
    Sum,
    Vector,
    plain,
)
from ptxbench.executed.paths import PathLoop, Paths
from ptxbench.executed.ptx import PtxLines

STRONG = ("volatile", "acquire", "relaxed", "mmio")
WAITS = ("try_wait", "test_wait")
RESULTLESS = ("st", "red", "bra", "brx", "bar", "barrier", "ret", "exit", "membar", "fence", "prefetch", "nanosleep")
"""Opcodes whose first operand is not a result."""


def steered(paths: Paths, lines: PtxLines, histograms: Mapping[int, Mapping[int, int]]) -> str | None:
    """The loop whose trips depended on the schedule in this launch, in words; None if there was none.

    A wait that ends at once and a loop of one trip do not count: the launch is then counted as it ran.
    """
    schedule_registers = from_others(paths.function.instructions)
    for loop in paths.loops:
        leaving = [instruction for instruction in paths.function.instructions if instruction.line in loop.exits]
        if not any(
            instruction.guard is not None and instruction.guard.name in schedule_registers for instruction in leaving
        ):
            continue
        if repeated(loop, lines, histograms):
            return f"the trips of the loop at PTX line {loop.line} depend on when other threads run"
    return None


def from_others(code: list[Instruction]) -> frozenset[str]:
    """The registers whose value may depend on when other threads run, wherever they are set.

    Through shared memory too: if such a value is stored there, every load of shared memory may return it.
    """
    result: set[str] = set()
    shared = False
    if not any(is_from_others(*instruction.opcode.split(".")) for instruction in code):
        return frozenset()
    while True:
        before = len(result), shared
        for instruction in code:
            root, *words = instruction.opcode.split(".")
            if not instruction.operands:
                continue
            sources = instruction.operands if root in RESULTLESS else instruction.operands[1:]
            depends = bool({name for operand in sources for name in registers(operand)} & result)
            depends = depends or (instruction.guard is not None and instruction.guard.name in result)
            in_shared = any(word.startswith("shared") for word in words)
            shared = shared or (root == "st" and depends and in_shared)
            new_source = is_from_others(root, *words) or (root == "ld" and shared and in_shared)
            if root not in RESULTLESS and (new_source or (depends and root != "ld")):
                result |= set(registers(instruction.operands[0]))
        if (len(result), shared) == before:
            return frozenset(result)


def is_from_others(root: str, *words: str) -> bool:
    """Whether the result of these instructions may depend on when other threads run, whatever their operands are."""
    if root == "atom":
        return True
    modifiers = {"mbarrier": WAITS, "ld": STRONG}.get(root, ())
    return any(word in modifiers for word in words)


def registers(operand: Operand) -> list[str]:
    """The names of the registers in an operand."""
    operand = plain(operand)[0]
    if isinstance(operand, Register):
        return [operand.name]
    if isinstance(operand, Vector | Group):
        return [name for part in operand.parts for name in registers(part)]
    if isinstance(operand, Dual):
        return registers(operand.first) + registers(operand.second)
    if isinstance(operand, Not):
        return registers(operand.operand)
    if isinstance(operand, Sum):
        return [operand.register.name]
    if isinstance(operand, Element):
        return registers(operand.index)
    if isinstance(operand, Address):
        return registers(operand.base)
    return []


def repeated(loop: PathLoop, lines: PtxLines, histograms: Mapping[int, Mapping[int, int]]) -> bool:
    """Whether a warp made more than one trip."""
    if histogram := histograms.get(loop.line):
        return max(histogram) > 1
    return lines.counter(loop.line, "ptx_thread_instructions_on") > 0  # a lane branched back
