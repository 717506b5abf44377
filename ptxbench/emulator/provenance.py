"""Which pointers of a kernel are used both to store and to load: a guess, from the text, that saves a launch.

Loads from a buffer are recorded (runtime/records.py) only if CTAs also store to it. That is known for certain after
a launch, which is run again where it should have been recorded. So a pointer that is overlooked here costs time only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ptxbench.emulator.flow import Step, operand_reads, writes
from ptxbench.emulator.runtime.records import CLASHES, LOAD, STORE, UPDATE
from ptxbench.emulator.syntax import Address, Register, Symbol

Source = tuple[str, int]
"""A parameter or variable and an offset: where a pointer comes from."""

USES = {"ld": LOAD, "ldu": LOAD, "st": STORE, "atom": UPDATE, "red": UPDATE, "wmma.load": LOAD, "wmma.store": STORE}
"""What the one address of an instruction is for."""
ELSEWHERE = ("shared", "local", "param", "const")


def mixed_pointers(steps: Sequence[Step]) -> tuple[Source, ...]:
    """The sources of the pointers that are used in two ways which clash, in the order of their names."""
    sources = pointer_sources(steps)
    uses: dict[Source, set[str]] = {}
    for step in steps:
        for use, address in global_accesses(step):
            for source in address_sources(address, sources):
                uses.setdefault(source, set()).add(use)
    return tuple(sorted(source for source, found in uses.items() if any(clash(found, use) for use in found)))


def clash(found: set[str], use: str) -> bool:
    """Whether `use` clashes with another one among those found."""
    return any(other in found for other in CLASHES[use] if other != use)


def pointer_sources(steps: Sequence[Step]) -> dict[str, set[Source]]:
    """Of each register, the parameters and variables that its value is computed from, other than through memory."""
    found: dict[str, set[Source]] = {}
    for step in steps:
        named = [operand for operand in step.instruction.operands if isinstance(operand, Symbol | Address)]
        for operand in named:
            base = operand.base if isinstance(operand, Address) else operand
            if isinstance(base, Symbol) and writes(step):
                offset = operand.offset + (base.offset if operand is not base else 0)
                for register in writes(step):
                    found.setdefault(register, set()).add((base.name, offset))
    changed = True
    while changed:
        changed = False
        for step in steps:
            if any(isinstance(operand, Address) for operand in step.instruction.operands):
                continue
            given = set().union(*(found.get(register, set()) for register in operand_reads(step)))
            for register in writes(step):
                if not given <= found.setdefault(register, set()):
                    found[register] |= given
                    changed = True
    return found


def global_accesses(step: Step) -> Iterator[tuple[str, Address]]:
    """The addresses of an instruction that may lie in global memory, and what for."""
    opcode = step.entry.opcode
    parts = opcode.split(".")
    addresses = [operand for operand in step.instruction.operands if isinstance(operand, Address)]
    use = USES.get(parts[0]) or USES.get(".".join(parts[:2]))
    if use and addresses and not any(part.startswith(ELSEWHERE) for part in parts):
        yield use, addresses[0]
    elif opcode.startswith("cp.async") and len(addresses) > 1:  # [target], [source], and of a bulk copy the mbarrier
        out = opcode.startswith("cp.async.bulk.global")
        yield (STORE, addresses[0]) if out else (LOAD, addresses[1])


def address_sources(address: Address, sources: dict[str, set[Source]]) -> set[Source]:
    if isinstance(address.base, Register):
        return sources.get(address.base.name, set())
    return {(address.base.name, 0)} if isinstance(address.base, Symbol) else set()
