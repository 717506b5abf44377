"""Names for the registers and labels of compiled PTX: by purpose where that is known; otherwise short, by type.

The purpose is known of parameters, predefined registers, addresses, loaded and stored values, and a value that a line
of CUDA C declares. Two registers get one name only if the first is read for the last time when the second is written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ptxbench.draft.access import Provenance, result_of, results_of, sources_of
from ptxbench.emulator.operands import PREDEFINED
from ptxbench.emulator.syntax import Address, Function, Instruction, Register, Special, Symbol, registers

SPECIALS = {
    "tid": "thread", "ctaid": "block", "ntid": "block_size", "nctaid": "grid_size", "laneid": "lane",
    "warpid": "warp", "nwarpid": "warps", "smid": "sm", "nsmid": "sms", "lanemask_lt": "lanes_below",
    "lanemask_eq": "own_lane", "clusterid": "cluster", "cluster_ctaid": "block_in_cluster",
    "cluster_ctarank": "rank", "dynamic_smem_size": "shared_bytes",
}  # fmt: skip
"""Predefined registers, and the names of their values."""

PREFIXES = {"pred": "p", "b16": "h", "b32": "r", "b64": "d", "b128": "q", "f32": "f", "f64": "e"}
"""The first letters of registers without another name, by type."""

BY_TYPE = re.compile(r"[a-z]\d+")
KEPT = ("%SP", "%SPL")
"""The stack pointers, whose names say what they are."""

DECLARATION = re.compile(
    r"\s*(?:const\s+|constexpr\s+|volatile\s+)*(?P<type>unsigned(?:\s+(?:int|long|long\s+long|short|char))?|int|float"
    r"|double|auto|bool|long|long\s+long|short|(?:std::)?size_t|(?:std::)?u?int(?:16|32|64)_t|uint)"
    r"\s+(?P<name>[A-Za-z]\w*)\s*=(?!=)[^;]*;"
)
"""A line of CUDA C that declares one variable with a value."""


@dataclass(frozen=True)
class Names:
    """New names by the old ones, with the leading %. Registers that are merged have one new name."""

    registers: Mapping[str, str]
    labels: Mapping[str, str]


@dataclass
class Naming:
    """The names of one function, while they are chosen."""

    function: Function
    params: Mapping[str, str]
    """The names of the parameters in CUDA C by those in PTX."""
    variables: Mapping[str, str]
    """The new names of the function's variables."""
    arrays: Collection[str]
    provenance: Provenance
    cuda_lines: Mapping[int, int]
    """The line of CUDA C of each line of PTX."""
    cuda: Sequence[str]
    """The lines of CUDA C."""
    chosen: dict[str, str] = field(default_factory=dict)
    used: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.writers: dict[str, list[Instruction]] = {}
        self.readers: dict[str, list[Instruction]] = {}
        for instruction in self.function.instructions:
            for name in results_of(instruction):
                if not isinstance(result_of(instruction), Address):
                    self.writers.setdefault(name, []).append(instruction)
            for operand in sources_of(instruction):
                for name in registers(operand):
                    self.readers.setdefault(name, []).append(instruction)
            if instruction.guard:
                self.readers.setdefault(instruction.guard.name, []).append(instruction)

    def give(self, register: str, name: str) -> None:
        """Name `register`, unless it has a name; a name that is taken gets a number."""
        if register in self.chosen or register in KEPT or "@" in register:
            return
        if PREDEFINED.fullmatch(f"%{name}") or BY_TYPE.fullmatch(name):
            name += "_"
        self.used[name] += 1
        number = self.used[name]
        full = f"%{name}" if number == 1 else f"%{name}_{number}"
        if full in self.chosen.values():
            self.give(register, name)
        else:
            self.chosen[register] = full

    def only_writer(self, register: str) -> Instruction | None:
        writers = self.writers.get(register, [])
        return writers[0] if len(writers) == 1 else None

    def array_name(self, operand: object) -> str | None:
        """The name of the one array or variable whose address the operand holds."""
        origins = self.provenance.of(operand) if isinstance(operand, Register | Address) else frozenset()
        if isinstance(operand, Address) and isinstance(operand.base, Symbol):
            origins = frozenset({operand.base.name})
        if len(origins) != 1:
            return None
        (origin,) = origins
        return self.params.get(origin) if origin in self.arrays else self.variables.get(origin)

    # ---- one kind of name after the other; the first that a register gets is kept

    def all(self, *, merge: bool) -> Names:
        """Every name. `merge`: whether a parameter and its global address are one register where they can be."""
        merged = dict(self.merged_parameters()) if merge else {}
        self.name_parameters(merged)
        self.name_specials()
        self.name_declared()
        self.name_addresses()
        self.name_elements()
        self.name_rest()
        return Names(self.chosen, labels(self.function))

    def merged_parameters(self) -> Iterator[tuple[str, str]]:
        """A parameter's register, and the one with its global address, where these can be one register.

        The parameter is read once, by the conversion, with no label between: so no other path needs it.
        """
        instructions = self.function.instructions
        joins = set(self.function.labels.values())
        position = {id(instruction): index for index, instruction in enumerate(instructions)}
        for instruction in instructions:
            if not instruction.opcode.startswith("cvta.to.global") or instruction.guard:
                continue
            result, source = instruction.operands
            if not isinstance(result, Register) or not isinstance(source, Register):
                continue
            load = self.only_writer(source.name)
            if (
                load is not None
                and load.opcode.startswith("ld.param")
                and load.guard is None
                and self.only_writer(result.name) is instruction
                and len(self.readers.get(source.name, ())) == 1
                and self.function.registers[source.name] == self.function.registers[result.name]
                and not joins & set(range(position[id(load)] + 1, position[id(instruction)] + 1))
                and position[id(load)] < position[id(instruction)]
            ):
                yield source.name, result.name

    def name_parameters(self, merged: Mapping[str, str]) -> None:
        """Name the registers that hold a parameter, and those with its global address. `merged`: the register that gets
        the same name, by register."""
        for instruction in self.function.instructions:
            result, address = (*instruction.operands, None, None)[:2]
            if (
                instruction.opcode.startswith("ld.param.")
                and isinstance(result, Register)
                and isinstance(address, Address)
                and isinstance(address.base, Symbol)
                and (name := self.params.get(address.base.name))
                and self.only_writer(result.name)
            ):
                self.give(result.name, f"{name}_{address.offset}" if address.offset else name)
                if result.name in merged and result.name in self.chosen:
                    self.chosen[merged[result.name]] = self.chosen[result.name]
        for instruction in self.function.instructions:
            if instruction.opcode.startswith("cvta.to.global") and isinstance(instruction.operands[0], Register):
                source = instruction.operands[1]
                if isinstance(source, Register) and (name := self.chosen.get(source.name)):
                    self.give(instruction.operands[0].name, f"{name[1:]}_global")

    def name_specials(self) -> None:
        axes: dict[str, set[str]] = {}
        for name in self.function.special_names:
            base, _, axis = name.removeprefix("%").partition(".")
            axes.setdefault(base, set()).add(axis)
        for instruction in self.function.instructions:
            result, source = (*instruction.operands, None, None)[:2]
            if isinstance(source, Special) and isinstance(result, Register) and self.only_writer(result.name):
                base, _, axis = source.name.removeprefix("%").partition(".")
                if base in SPECIALS:
                    one_axis = axes[base] <= {"x", ""}
                    self.give(result.name, SPECIALS[base] + ("" if one_axis or not axis else f"_{axis}"))

    def name_declared(self) -> None:
        """The one register that a line of CUDA C with a declaration computes for other lines."""
        by_line: dict[int, list[Instruction]] = {}
        for instruction in self.function.instructions:
            if line := self.cuda_lines.get(instruction.line):
                by_line.setdefault(line, []).append(instruction)
        for line, group in by_line.items():
            declared = DECLARATION.match(self.cuda[line - 1]) if line <= len(self.cuda) else None
            instructions_of_line = {id(instruction) for instruction in group}
            results = {name for instruction in group for name in results_of(instruction)}
            leaving = [
                name
                for name in results
                if self.only_writer(name)
                and any(id(reader) not in instructions_of_line for reader in self.readers.get(name, ()))
            ]
            values = [
                name
                for name in leaving
                if name not in self.chosen and declared and fits(declared["type"], str(self.function.registers[name]))
            ]
            if declared and len(values) == 1:
                self.give(values[0], declared["name"])

    def name_addresses(self) -> None:
        for instruction in self.function.instructions:
            result = result_of(instruction)
            if not isinstance(result, Register) or instruction.opcode.startswith(("ld.", "atom.", "setp.")):
                continue
            if (name := self.array_name(result)) and result.name not in self.chosen:
                source = instruction.operands[1] if len(instruction.operands) > 1 else None
                is_base = instruction.opcode.startswith("mov.") and isinstance(source, Symbol)
                self.give(result.name, name if is_base else f"{name}_at")
                for operand in sources_of(instruction) if instruction.opcode.startswith("add.") else ():
                    if isinstance(operand, Register) and not self.provenance.of(operand):
                        self.give(operand.name, "offset")

    def name_elements(self) -> None:
        for instruction in self.function.instructions:
            address = next((operand for operand in instruction.operands if isinstance(operand, Address)), None)
            if address is None or instruction.opcode.startswith(("ld.param", "st.param")):
                continue
            if (name := self.array_name(address)) is None:
                continue
            if instruction.opcode.startswith(("ld.", "atom.")):
                for register in results_of(instruction):
                    if self.only_writer(register):
                        self.give(register, f"{name}_i")
            elif instruction.opcode.startswith(("st.", "red.")):
                for register in registers(instruction.operands[-1]):
                    if self.only_writer(register) and len(self.readers[register]) == 1:
                        self.give(register, f"{name}_i")

    def name_rest(self) -> None:
        """Names by type and number, in the order of the text."""
        numbers: Counter[str] = Counter()
        for instruction in self.function.instructions:
            guard = (instruction.guard.name,) if instruction.guard else ()
            for register in (*guard, *(name for operand in instruction.operands for name in registers(operand))):
                if register not in self.chosen and register not in KEPT and "@" not in register:
                    prefix = PREFIXES.get(str(self.function.registers[register]), "t")
                    numbers[prefix] += 1
                    self.chosen[register] = f"%{prefix}{numbers[prefix]}"


def fits(declared: str, register: str) -> bool:
    """Whether a variable of CUDA C of this type can be in a register of this type of PTX."""
    words = declared.removeprefix("std::")
    if words == "auto":
        return register != "pred"
    if words in ("float", "double"):
        return register == {"float": "f32", "double": "f64"}[words]
    if words == "bool":
        return register == "pred"
    is_64_bit = "long" in words or "64" in words or words == "size_t"
    return register in (("b64", "u64", "s64") if is_64_bit else ("b32", "u32", "s32", "b16"))


def labels(function: Function) -> dict[str, str]:
    """A name for each label: LOOP if a later branch leads back to it, DONE if the kernel ends there, otherwise
    BLOCK."""
    backward = {
        operand.name
        for index, instruction in enumerate(function.instructions)
        if instruction.opcode.startswith("bra")
        for operand in instruction.operands
        if isinstance(operand, Symbol) and function.labels.get(operand.name, len(function.instructions)) <= index
    }
    kinds = {}
    for name, index in function.labels.items():
        ends = index >= len(function.instructions) or function.instructions[index].opcode in ("ret", "exit")
        kinds[name] = "LOOP" if name in backward else "DONE" if ends else "BLOCK"
    total, numbers = Counter(kinds.values()), Counter[str]()
    result = {}
    for name, kind in sorted(kinds.items(), key=lambda item: function.labels[item[0]]):
        numbers[kind] += 1
        result[name] = kind if total[kind] == 1 else f"{kind}_{numbers[kind]}"
    return result
