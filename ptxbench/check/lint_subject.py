"""What the rules of the lint examine: a kernel or a function of a candidate, with facts about its text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from ptxbench.check.calls import reachable, roots_of
from ptxbench.check.roots import NOTHING, AccessPlace, BlockStates, OperandRoots, Roots, constants, value_of
from ptxbench.emulator.isa import find
from ptxbench.emulator.syntax import (
    Address,
    Dual,
    Function,
    Group,
    Immediate,
    Instruction,
    Module,
    Operand,
    Register,
    Special,
    Variable,
    Vector,
)
from ptxbench.pair import POINTER_BYTES, Argument, ArrayArgument, Parameter, TensorMap
from ptxbench.structs import StructLayout

WRITES = re.compile(r"(st|atom|red|discard)\b|cp\.(reduce\.)?async\.bulk\S*\.global\.shared")


@dataclass(frozen=True)
class LintSubject:
    """A kernel of the candidate, or a function that it calls, with the facts that the rules need.

    `arrays`: those of the pair, by the kernel's parameter names, or as `p.x` in the struct `p`. `used`: the roots that
    each instruction uses.
    """

    module: Module
    function: Function
    arrays: Mapping[str, Argument]
    used: Sequence[OperandRoots]
    maps: Mapping[str, Argument] = field(default_factory=dict)
    """The pair's tensor maps, by the kernel's parameter names."""
    cluster: tuple[int, int, int] | None = None
    """CTAs in each cluster of the pair's launch, (x, y, z); None without clusters."""
    one_cta: bool = False
    """Whether the pair's grids have one CTA."""

    @cached_property
    def rooted(self) -> list[tuple[Instruction, OperandRoots]]:
        """Each instruction, with the roots of its operands and its guard."""
        return list(zip(self.function.instructions, self.used, strict=True))

    @cached_property
    def addressed(self) -> list[tuple[Instruction, Roots]]:
        """Each instruction, with the roots of its first address; no roots if it has no address."""
        return [(instruction, address_roots(instruction, used)) for instruction, used in self.rooted]

    @cached_property
    def writes(self) -> list[tuple[Instruction, Roots]]:
        """The instructions that write to memory, with the roots of their addresses."""
        return [
            (instruction, roots)
            for instruction, roots in self.addressed
            if WRITES.match(instruction.opcode) and not instruction.opcode.startswith("st.param")
        ]

    @cached_property
    def specials(self) -> list[tuple[int, str]]:
        return list(specials(self.function))

    @cached_property
    def constants(self) -> dict[str, int]:
        return constants(self.function)

    @cached_property
    def state(self) -> frozenset[str]:
        """The variables that outlive a launch."""
        return frozenset(name for name, instruction in self.variables.items() if instruction.space == "global")

    @cached_property
    def variables(self) -> dict[str, Variable]:
        return {**self.module.variables, **self.function.variables}

    def display_name(self, roots: Collection[str]) -> str:
        """The name that the pair or the module has for the first of these arrays and variables."""
        name = min(roots)
        return self.arrays[name].name if name in self.arrays else name

    @cached_property
    def blocks(self) -> BlockStates:
        return BlockStates(self.function)

    def value(self, operand: Operand) -> int | None:
        """The constant integer value of an operand; None if it is not known."""
        return value_of(operand, self.constants)


def address_roots(instruction: Instruction, used: OperandRoots) -> Roots:
    operands = zip(instruction.operands, used.operands, strict=True)
    return next((roots for operand, roots in operands if isinstance(operand, Address)), NOTHING)


def subjects_of(
    module: Module,
    entry: str,
    args: Sequence[Parameter],
    cluster: tuple[int, int, int] | None = None,
    *,
    one_cta: bool = False,
    members: Sequence[Argument] = (),
) -> list[LintSubject]:
    """The kernel and the functions that it calls; none without the kernel. `members`: the arguments in structs."""
    if entry not in module.functions:
        return []
    kernel = module.functions[entry]
    functions = {name: ordered(function) for name, function in reachable(module, kernel).items()}
    passed = {param.name: arg for param, arg in zip(kernel.params, args, strict=False)}
    arrays = {name: arg for name, arg in passed.items() if isinstance(arg, ArrayArgument)}
    maps = {name: arg for name, arg in passed.items() if isinstance(arg, TensorMap)}
    structs = {name: struct for name, struct in passed.items() if isinstance(struct, StructLayout)}
    in_structs = {name: arrays_in(name, struct, members) for name, struct in structs.items()}
    addresses = {
        key: frozenset({root})
        for name, by_offset in in_structs.items()
        for offset, (root, arg) in by_offset.items()
        for key in AccessPlace(name, offset, POINTER_BYTES).keys(0)
    }
    arrays |= {root: arg for by_offset in in_structs.values() for root, arg in by_offset.values()}
    used = roots_of(module, functions, entry, addresses)
    return [
        LintSubject(module, function, arrays, used[name], maps, cluster, one_cta)
        for name, function in functions.items()
        if name in used
    ]


def arrays_in(name: str, struct: StructLayout, members: Sequence[Argument]) -> dict[int, tuple[str, ArrayArgument]]:
    """The arrays of a struct that is the parameter `name`, by the offset of their addresses, each with its root."""
    return {
        struct.offsets[arg.name]: (f"{name}.{arg.name}", arg)
        for arg in members
        if arg.name in struct.offsets and isinstance(arg, ArrayArgument)
    }


def ordered(function: Function) -> Function:
    """The function with the modifiers of each instruction in the manual's order, which the rules expect."""
    entries = [find(instruction) for instruction in function.instructions]
    instructions = [
        replace(instruction, opcode=entry.opcode) if entry and entry.opcode != instruction.opcode else instruction
        for instruction, entry in zip(function.instructions, entries, strict=True)
    ]
    return replace(function, instructions=instructions)


def parts(operand: Operand) -> Iterator[Operand]:
    """An operand, or its parts."""
    if isinstance(operand, Vector | Group):
        for part in operand.parts:
            yield from parts(part)
    elif isinstance(operand, Dual):
        yield from (operand.first, operand.second)
    else:
        yield operand


def specials(function: Function) -> Iterator[tuple[int, str]]:
    """The predefined registers that a function reads, with the lines."""
    for instruction in function.instructions:
        for operand in instruction.operands:
            if not isinstance(operand, Register | Immediate):  # most operands
                yield from ((instruction.line, part.name) for part in parts(operand) if isinstance(part, Special))
