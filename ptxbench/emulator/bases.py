"""The variable from whose address each register is computed, where the text shows that it can only be one.

Every value of such a register is that address plus a number, so an access by it must stay within the variable. A value
that comes from memory is a number here. Control flow does not matter: a register has a base only if each instruction
that writes it gives it this base.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence

from ptxbench.emulator.flow import FlowStep
from ptxbench.emulator.syntax import Address, Element, Register, Symbol
from ptxbench.emulator.types import PRED, Type

NUMBER, UNCLEAR = "", "?"
"""In place of a base: the value is a number; it may be computed from several variables, or sometimes be a number."""


def bases(steps: Sequence[FlowStep], variables: Collection[str], types: Mapping[str, Type]) -> dict[str, str]:
    """The base of each register that has one, of `variables`. `types`: of the registers."""
    found = {name: NUMBER for name, kind in types.items() if kind is PRED}
    readers: dict[str, list[FlowStep]] = {}
    for step in steps:
        for name in step.operand_reads:
            readers.setdefault(name, []).append(step)
    waiting = deque(steps)
    while waiting:  # each register changes at most twice
        step = waiting.popleft()
        if (base := base_of(step, found, variables)) is None:
            continue
        for name in step.writes:
            merged = base if found.get(name, base) == base else UNCLEAR
            if types[name] is not PRED and found.get(name) != merged:
                found[name] = merged
                waiting.extend(readers.get(name, ()))
    return {name: base for name, base in found.items() if base not in (NUMBER, UNCLEAR)}


def base_of(step: FlowStep, found: Mapping[str, str], variables: Collection[str]) -> str | None:
    """The base of what an instruction computes; None if it is not known yet."""
    operands = step.instruction.operands
    if any(isinstance(operand, Address) for operand in operands):
        return NUMBER  # from memory
    if not step.operand_reads <= found.keys():
        return None
    symbols = (operand.symbol if isinstance(operand, Element) else operand for operand in operands)
    named = (symbol.name for symbol in symbols if isinstance(symbol, Symbol) and symbol.name in variables)
    return combined({*named, *(found[name] for name in step.operand_reads)})


def combined(parts: Iterable[str]) -> str:
    """The base of a value that is computed from values with these bases."""
    addresses = {part for part in parts if part != NUMBER}
    return NUMBER if not addresses else addresses.pop() if len(addresses) == 1 else UNCLEAR


def base_of_address(address: Address, found: Mapping[str, str]) -> str | None:
    """The variable in which an access must stay, if that is known."""
    if isinstance(address.base, Register):
        return found.get(address.base.name)
    return address.variable or None
