"""What a kernel does with the arrays behind its parameters, read from its PTX: which it loads, which it stores.

A register that may hold an address of an array counts as one, whatever is computed with it, so nothing is missed: an
array that is passed on in a way that is not followed is reported as such.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ptxbench.emulator.syntax import (
    Address,
    Dual,
    Element,
    Function,
    Group,
    Instruction,
    Negated,
    Not,
    Operand,
    Register,
    Selected,
    Sum,
    Symbol,
    Vector,
)

WITHOUT_RESULT = frozenset(
    """
    st red bra brx bar barrier membar fence ret exit trap prefetch prefetchu cp call discard applypriority stmatrix
    nanosleep griddepcontrol setmaxnreg brkpt pmevent
    """.split()  # noqa: SIM905
)
"""Instructions whose first operand is not a result."""

LOADS = re.compile(r"(?:ld|ldu|ldmatrix|wmma\.load)\.")
STORES = re.compile(r"(?:st|stmatrix|wmma\.store)\.")
UPDATES = re.compile(r"(?:atom|red)\.")
HINTS = re.compile(r"(?:prefetch|prefetchu|createpolicy|applypriority|discard)\.")
COPIES = re.compile(r"cp\.async\.c[ag]\.")
"""Copies of 4 to 16 bytes: from the second address to the first."""

TYPES = ("b8", "b16", "b32", "b64", "b128", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f16", "f16x2",
         "bf16", "bf16x2", "f32", "f64")  # fmt: skip


@dataclass(frozen=True)
class Access:
    """What a kernel does with one array. `types`: of the elements that it loads and stores, in PTX's words.

    `escapes`: whether the address goes where this reading does not follow it, such as to a function.
    """

    loads: bool = False
    stores: bool = False
    updates: bool = False
    escapes: bool = False
    types: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Provenance:
    """`origins`: for each register, the parameters and shared variables whose address it may hold."""

    origins: Mapping[str, frozenset[str]]

    def of(self, operand: Operand) -> frozenset[str]:
        return frozenset().union(*(self.origins.get(name, frozenset()) for name in registers_in(operand)))


def result_of(instruction: Instruction) -> Operand | None:
    """The operand that the instruction writes; None if it writes no register."""
    if not instruction.operands or instruction.opcode.partition(".")[0] in WITHOUT_RESULT:
        return None
    return instruction.operands[0]


def registers_in(operand: Operand | None) -> Iterator[str]:
    """The registers of an operand, also those inside an address or a vector."""
    match operand:
        case Register(name):
            yield name
        case Address(base, _) | Sum(base, _) | Selected(base, _):
            yield from registers_in(base)
        case Element(_, index, _):
            yield from registers_in(index)
        case Vector(parts) | Group(parts):
            for part in parts:
                yield from registers_in(part)
        case Dual(first, second):
            yield from registers_in(first)
            yield from registers_in(second)
        case Not(inner) | Negated(inner):
            yield from registers_in(inner)


def sources_of(instruction: Instruction) -> tuple[Operand, ...]:
    """The operands that the instruction reads."""
    return instruction.operands if result_of(instruction) is None else instruction.operands[1:]


def provenance(function: Function, arrays: Collection[str]) -> Provenance:
    """Where the addresses in each register come from: from `arrays`, which are parameters, and from variables.

    Found by repetition until nothing changes.
    """
    origins: dict[str, frozenset[str]] = {}
    changed = True
    while changed:
        changed = False
        for instruction in function.instructions:
            opcode = instruction.opcode
            found: frozenset[str] = frozenset()
            if (LOADS.match(opcode) or UPDATES.match(opcode)) and not opcode.startswith("ld.param"):
                continue  # what is in memory is not an address of these arrays, unless one was stored, which escapes
            for operand in sources_of(instruction):
                found |= Provenance(origins).of(operand)
                if opcode.startswith("ld.param") and isinstance(operand, Address) and isinstance(operand.base, Symbol):
                    found |= {operand.base.name} & set(arrays)
                elif opcode.startswith("mov.") and isinstance(operand, Symbol):
                    found |= {operand.name}
            for name in registers_in(result_of(instruction)):
                if not found <= origins.get(name, frozenset()):
                    origins[name] = origins.get(name, frozenset()) | found
                    changed = True
    return Provenance(origins)


def accesses(function: Function, arrays: Collection[str], found: Provenance) -> dict[str, Access]:
    """What the kernel does with each of `arrays`, which are parameters."""
    result = {name: Access() for name in arrays}
    for instruction in function.instructions:
        for name, change in changes(instruction, found):
            if name in result:
                result[name] = merged(result[name], change)
    return result


def changes(instruction: Instruction, found: Provenance) -> Iterator[tuple[str, Access]]:
    """For each array that the instruction accesses, what it does with it."""
    opcode = instruction.opcode
    copies = bool(COPIES.match(opcode))
    kind = Access(
        loads=bool(LOADS.match(opcode)),
        stores=bool(STORES.match(opcode)),
        updates=bool(UPDATES.match(opcode)),
        escapes=not (copies or any(pattern.match(opcode) for pattern in (LOADS, STORES, UPDATES, HINTS))),
        types=frozenset(element_types(opcode)),
    )
    for number, operand in enumerate(instruction.operands):
        if isinstance(operand, Address):
            for name in found.of(operand):
                yield name, Access(stores=number == 0, loads=number == 1) if copies else kind
        elif not kind.loads and (result_of(instruction) is None or kind.updates):
            for name in found.of(operand):  # the address itself is stored, or given to a function
                yield name, Access(escapes=True)


def element_types(opcode: str) -> Iterable[str]:
    """The type at the end of an access: `ld.global.v4.f32` loads f32."""
    return [word for word in opcode.split(".")[-1:] if word in TYPES]


def merged(a: Access, b: Access) -> Access:
    flags = {
        field.name: getattr(a, field.name) or getattr(b, field.name)
        for field in dataclasses.fields(Access)
        if field.name != "types"
    }
    return Access(**flags, types=a.types | b.types)
