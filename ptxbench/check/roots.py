"""From which parameters and variables each register of a kernel gets its value: what an address may point into.

Without regard to order: a register that is ever computed from a pointer is taken to point there everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ptxbench.emulator.syntax import Address, Dual, Function, Group, Instruction, Operand, Register, Symbol, Vector

Roots = Mapping[str, frozenset[str]]
"""By register, the names of the parameters and variables."""

NO_RESULT = ("st.", "red.", "bra", "bar.", "barrier.", "ret", "exit", "call", "cp.", "prefetch", "membar", "fence")
"""Instructions whose first operand is not written."""


def roots(function: Function) -> Roots:
    """The roots of every register."""
    found: dict[str, frozenset[str]] = {}
    changed = True
    while changed:
        changed = False
        for instruction in function.instructions:
            if not instruction.operands or instruction.opcode.startswith(NO_RESULT):
                continue
            target, *sources = instruction.operands
            new = frozenset().union(*(of(each, found) for each in sources)) if is_computed(instruction) else frozenset()
            for name in registers(target):
                if not new <= found.get(name, frozenset()):
                    found[name] = found.get(name, frozenset()) | new
                    changed = True
    return found


def is_computed(instruction: Instruction) -> bool:
    """Whether the result follows from the operands: not of a load, but of one from a parameter."""
    loads = instruction.opcode.startswith(("ld.", "ldu.", "atom.", "ldmatrix", "shfl", "mma.", "wmma."))
    return not loads or instruction.opcode.startswith("ld.param")


def of(operand: Operand, known: Roots) -> frozenset[str]:
    """The roots of an operand."""
    if isinstance(operand, Register):
        return known.get(operand.name, frozenset())
    if isinstance(operand, Symbol):
        return frozenset({operand.name})
    if isinstance(operand, Address):
        return of(operand.base, known)
    if isinstance(operand, Vector | Group):
        return frozenset().union(*(of(each, known) for each in operand.parts))
    return frozenset()


def registers(operand: Operand) -> Iterator[str]:
    """The registers that a written operand names."""
    if isinstance(operand, Register):
        yield operand.name
    elif isinstance(operand, Vector):
        for part in operand.parts:
            yield from registers(part)
    elif isinstance(operand, Dual):
        yield from registers(operand.first)
        yield from registers(operand.second)


def constants(function: Function) -> dict[str, int]:
    """The registers that hold one whole number throughout: written once, by a mov of it."""
    from ptxbench.emulator.syntax import Immediate

    written: dict[str, list[int | None]] = {}
    for instruction in function.instructions:
        if not instruction.operands or instruction.opcode.startswith(NO_RESULT):
            continue
        target, *sources = instruction.operands
        plain = instruction.opcode.startswith("mov.") and instruction.guard is None and len(sources) == 1
        value = sources[0].value if plain and isinstance(sources[0], Immediate) else None
        for name in registers(target):
            written.setdefault(name, []).append(value if isinstance(value, int) else None)
    return {name: values[0] for name, values in written.items() if len(values) == 1 and values[0] is not None}
