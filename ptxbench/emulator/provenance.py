"""Finds pointers that a kernel uses both to store and to load: a guess from the text, which can save a launch.

Loads from a buffer are recorded (runtime/records.py) only if CTAs also store to it. This is certain only after a
launch; if a record was missing, the launch is run again. So a pointer that is overlooked here only costs time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ptxbench.emulator.flow import FlowStep
from ptxbench.emulator.runtime.records import CONFLICTS, LOAD, STORE, UPDATE
from ptxbench.emulator.syntax import Address, Element, Register, Symbol, Vector

Source = tuple[str, int]
"""A parameter or variable and an offset: the origin of a pointer."""

USES = {"ld": LOAD, "ldu": LOAD, "st": STORE, "atom": UPDATE, "red": UPDATE, "wmma.load": LOAD, "wmma.store": STORE}
"""How each instruction uses its only address."""
ELSEWHERE = ("shared", "local", "param", "const")


def mixed_pointers(steps: Sequence[FlowStep]) -> tuple[Source, ...]:
    """The sources of the pointers with two uses that conflict, ordered by name."""
    numbers: dict[Source, int] = {}
    sources = pointer_sources(steps, numbers)
    uses = dict.fromkeys(CONFLICTS, 0)
    for step in steps:
        for use, address in global_accesses(step):
            uses[use] |= address_sources(address, sources, numbers)
    mixed = 0
    for use, others in CONFLICTS.items():
        for other in others:
            if use != other:
                mixed |= uses[use] & uses[other]
    return tuple(sorted(source for source, number in numbers.items() if mixed >> number & 1))


def pointer_sources(steps: Sequence[FlowStep], numbers: dict[Source, int]) -> dict[str, int]:
    """For each register, the parameters and variables that its value is computed from, except through memory.

    The result is a bit mask of the numbers in `numbers`, which is extended as needed.
    """
    result: dict[str, int] = {}
    flows = []
    for step in steps:
        targets = step.writes
        operands = step.instruction.operands
        symbolic = [
            part
            for operand in operands
            if not isinstance(operand, Register)
            for part in (operand.parts if isinstance(operand, Vector) else (operand,))
            if isinstance(part, Symbol | Element | Address)
        ]
        for operand in symbolic:
            source = named_source(operand)
            if source and targets:
                bit = 1 << numbers.setdefault(source, len(numbers))
                result.update((register, result.get(register, 0) | bit) for register in targets)
        if targets and not any(isinstance(operand, Address) for operand in symbolic):
            flows.append((step.operand_reads, targets))
    for _ in range(PASSES):
        changed = False
        for read, written in flows:
            sources = 0
            for register in read:
                sources |= result.get(register, 0)
            if sources:
                for register in written:
                    known = result.get(register, 0)
                    if sources & ~known:
                        result[register] = known | sources
                        changed = True
        if not changed:
            break
    return result


PASSES = 4
"""Passes over the text; enough for values that loops carry between iterations."""


def named_source(operand: Symbol | Element | Address) -> Source | None:
    """The parameter or variable that an operand names, or that its address starts from."""
    if isinstance(operand, Element):
        operand = operand.symbol
    if isinstance(operand, Symbol):
        return operand.name, operand.offset
    if isinstance(operand.base, Symbol):
        return operand.base.name, operand.base.offset + operand.offset
    return named_source(operand.base) if isinstance(operand.base, Element) else None


def global_accesses(step: FlowStep) -> Iterator[tuple[str, Address]]:
    """The addresses of an instruction that may be in global memory, with their use."""
    addresses = [operand for operand in step.instruction.operands if isinstance(operand, Address)]
    if not addresses:
        return
    opcode, parts = step.entry.opcode, step.entry.words
    use = USES.get(parts[0]) or USES.get(".".join(parts[:2]))
    if use and not any(part.startswith(ELSEWHERE) for part in parts):
        yield use, addresses[0]
    elif ".tensor." in opcode:  # it names a tensor map
        return
    elif opcode.startswith("cp.reduce"):
        yield UPDATE, addresses[0]
    elif opcode.startswith("cp.async") and len(addresses) > 1:  # [target], [source], and for a bulk copy the mbarrier
        out = "bulk_group" in parts
        yield (STORE, addresses[0]) if out else (LOAD, addresses[1])


def address_sources(address: Address, sources: dict[str, int], numbers: dict[Source, int]) -> int:
    """The sources of an address, as bits."""
    if isinstance(address.base, Register):
        return sources.get(address.base.name, 0)
    if isinstance(address.base, Symbol):
        return 1 << numbers.setdefault((address.base.name, 0), len(numbers))
    return 0
