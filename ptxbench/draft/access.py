"""What a kernel does with the arrays behind its parameters, read from its PTX: which it loads, which it stores.

A register that may hold an address of an array counts as one, whatever is computed with it, so no access is missed. If
an address is passed on in a way that is not followed, that is reported.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ptxbench.emulator.syntax import Address, Function, Instruction, Operand, Symbol, registers

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

    `escapes`: whether the address is used in a way that is not followed here, such as by a function.
    """

    loads: bool = False
    stores: bool = False
    updates: bool = False
    escapes: bool = False
    types: frozenset[str] = frozenset()


Origins = dict[str, frozenset[str]]
"""For each register that may hold the address of a parameter or a shared variable, which ones."""

NOWHERE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Provenance:
    """Where addresses come from: `before` each instruction, and `anywhere` in the kernel."""

    before: tuple[Origins, ...]
    anywhere: Origins

    def of(self, operand: Operand) -> frozenset[str]:
        """The origins of the addresses that the operand may hold anywhere in the kernel."""
        return of_operand(operand, self.anywhere)


def of_operand(operand: Operand, origins: Origins) -> frozenset[str]:
    return NOWHERE.union(*(origins.get(name, NOWHERE) for name in registers(operand)))


def result_of(instruction: Instruction) -> Operand | None:
    """The operand that the instruction writes; None if it writes no register."""
    if not instruction.operands or instruction.opcode.partition(".")[0] in WITHOUT_RESULT:
        return None
    return instruction.operands[0]


def results_of(instruction: Instruction) -> Sequence[str]:
    """The registers that the instruction writes."""
    result = result_of(instruction)
    return () if result is None else registers(result)


def sources_of(instruction: Instruction) -> tuple[Operand, ...]:
    """The operands that the instruction reads."""
    return instruction.operands if result_of(instruction) is None else instruction.operands[1:]


def provenance(function: Function, arrays: Collection[str], through: re.Pattern[str] | None = None) -> Provenance:
    """Where the addresses in each register come from: from `arrays`, which are parameters, and from variables.

    `through`: the instructions that make addresses from addresses; by default all. A register may hold other addresses
    at other places; where paths meet, it may hold those of each path.
    """
    count = len(function.instructions)
    starts: dict[int, Origins] = {0: {}}
    before: list[Origins] = [{}] * count
    anywhere: Origins = {}
    pending = [0] if count else []
    joins = {0, *function.labels.values()}
    while pending:
        index = pending.pop()
        origins = dict(starts[index])
        while index < count:
            instruction = function.instructions[index]
            before[index] = dict(origins) if needs_origins(instruction) else {}
            for name, sources in made_by(instruction, origins, arrays, through):
                earlier = origins.pop(name, NOWHERE)
                if possible := sources | (earlier if instruction.guard else NOWHERE):
                    origins[name] = possible
                    anywhere[name] = anywhere.get(name, NOWHERE) | possible
            following = successors(function, index)
            index += 1
            for target in following:
                if (target != index or target in joins) and merge_into(origins, starts, target):
                    pending.append(target)
            if index not in following or index in joins:
                break
    return Provenance(tuple(before), anywhere)


def needs_origins(instruction: Instruction) -> bool:
    """Whether the instruction may access memory or pass an address on."""
    return any(isinstance(operand, Address) for operand in instruction.operands) or result_of(instruction) is None


def made_by(
    instruction: Instruction, origins: Origins, arrays: Collection[str], through: re.Pattern[str] | None
) -> Iterator[tuple[str, frozenset[str]]]:
    """The registers that the instruction writes, with the origins of their values."""
    opcode = instruction.opcode
    origin = NOWHERE
    read = sources_of(instruction)
    if (LOADS.match(opcode) or UPDATES.match(opcode)) and not opcode.startswith("ld.param"):
        read = ()  # what is in memory is not an address of these arrays, unless one was stored, which escapes
    elif through is not None and not through.match(opcode):
        read = ()
    elif through is not None and opcode.startswith("mad"):
        read = read[-1:]
    for operand in read:
        origin |= of_operand(operand, origins)
        if opcode.startswith("ld.param") and isinstance(operand, Address) and isinstance(operand.base, Symbol):
            origin |= {operand.base.name} & set(arrays)
        elif opcode.startswith("mov.") and isinstance(operand, Symbol):
            origin |= {operand.name}
    for name in results_of(instruction):
        yield name, origin


def successors(function: Function, index: int) -> list[int]:
    """The indices of the instructions that may follow; the index after the last one means the end."""
    instruction = function.instructions[index]
    targets: list[int] = []
    if instruction.opcode.startswith("brx"):
        targets = list(function.labels.values())
    elif instruction.opcode.startswith("bra"):
        names = (operand.name for operand in instruction.operands if isinstance(operand, Symbol))
        targets = [function.labels[name] for name in names if name in function.labels]
    ends = instruction.opcode.partition(".")[0] in ("bra", "brx", "ret", "exit", "trap") and instruction.guard is None
    return targets if ends else [*targets, index + 1]


def merge_into(origins: Origins, starts: dict[int, Origins], block: int) -> bool:
    """Add the origins to those at the start of a block. Returns whether that changes anything there."""
    earlier = starts.get(block)
    if earlier is None:
        starts[block] = dict(origins)
        return True
    joined_origins = {name: earlier.get(name, NOWHERE) | added for name, added in origins.items()}
    changed = any(earlier.get(name) != joined for name, joined in joined_origins.items())
    earlier.update(joined_origins)
    return changed


def accesses(function: Function, arrays: Collection[str], origins_of: Provenance) -> dict[str, Access]:
    """What the kernel does with each of `arrays`, which are parameters."""
    result = {name: Access() for name in arrays}
    for instruction, origins in zip(function.instructions, origins_of.before, strict=True):
        for name, change in changes(instruction, origins):
            if name in result:
                result[name] = merged(result[name], change)
    return result


def changes(instruction: Instruction, origins: Origins) -> Iterator[tuple[str, Access]]:
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
            for name in of_operand(operand, origins):
                yield name, Access(stores=number == 0, loads=number == 1) if copies else kind
        elif not kind.loads and (result_of(instruction) is None or kind.updates):
            for name in of_operand(operand, origins):  # the address itself is stored, or given to a function
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
