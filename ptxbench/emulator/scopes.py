"""What a name means in a function's body: a register, a variable or a label, from the innermost { } that declares it.

(PTX ISA, "Parameterized Variable Names"; names belong to the block that declares them.) A name that is already used
elsewhere in the function gets `@` and a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ptxbench.emulator.declarations import Attributes
from ptxbench.emulator.syntax import Operand, Register, Vector
from ptxbench.emulator.tokens import syntax_error
from ptxbench.emulator.types import Type

MOST_NESTED = 1_600
"""The greatest nesting depth of blocks; ptxas takes 1,663."""
NUMBERED = re.compile(r"\d+\Z")
MOST_DIGITS = 10
"""The most digits of a register's number in a family, leading zeros included."""
COMPONENTS = {selector: k for selectors in ("xyzw", "rgba") for k, selector in enumerate(selectors)}


@dataclass(frozen=True)
class Family:
    """`.reg .b32 %r<100>`: registers whose names are created on use."""

    count: int
    attributes: Attributes


@dataclass
class Scope:
    """The names of one block."""

    parent: Scope | None = None
    suffix: str = ""
    """The suffix that makes its registers unique in the function."""
    names: dict[str, Operand] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)
    lowest: dict[str, int] = field(default_factory=dict)
    """For names that end in a number: the lowest number, by the text before it."""
    labels: dict[str, str] = field(default_factory=dict)

    def chain(self) -> Iterator[Scope]:
        """This scope, then the enclosing ones, innermost first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def label(self, name: str) -> str | None:
        """The unique name of the label that `name` means in this scope."""
        return next((scope.labels[name] for scope in self.chain() if name in scope.labels), None)


def numbered(name: str) -> Iterator[tuple[str, int]]:
    """Each way to read a name as one of a family: ("%r", 12) and ("%r1", 2) of %r12."""
    if name[-1:].isdigit() and (digits := NUMBERED.search(name)):
        for split in range(max(digits.start(), len(name) - MOST_DIGITS), len(name)):
            yield name[:split], int(name[split:])


class Scopes:
    """The scopes of a function while its body is read; `registers` is filled with the registers in use."""

    def __init__(self, registers: dict[str, Type], used_names: set[str], module: Scope) -> None:
        """`used_names`: names that the function's own variables and labels cannot have."""
        self.registers = registers
        self.used_names = used_names
        self.count = 0
        self.depth = 0
        self.current = Scope(module)
        self.resolved: dict[str, Operand | None] = {}

    def open(self, line: int) -> None:
        if self.depth == MOST_NESTED:
            raise syntax_error(line, f"blocks nested more than {MOST_NESTED:,} deep are not supported.")
        self.depth += 1
        self.count += 1
        self.current = Scope(self.current, f"@{self.count}")
        self.resolved.clear()

    def close(self) -> None:
        assert self.current.parent is not None
        self.depth -= 1
        self.current = self.current.parent
        self.resolved.clear()

    # ---- declarations

    def check_new(self, name: str, line: int, kind: str) -> None:
        scope = self.current
        member = any(prefix in scope.families and k < scope.families[prefix].count for prefix, k in numbered(name))
        if name in scope.names or name in scope.labels or member:
            raise syntax_error(line, f"duplicate {kind} '{name}'.")

    def declare(self, name: str, operand: Operand, line: int, kind: str) -> None:
        self.check_new(name, line, kind)
        self.current.names[name] = operand
        for prefix, k in numbered(name):
            self.current.lowest[prefix] = min(k, self.current.lowest.get(prefix, k))
        self.resolved.clear()

    def declare_register(self, name: str, attributes: Attributes, line: int) -> None:
        self.declare(name, self.register(name + self.current.suffix, attributes), line, "register")

    def declare_family(self, prefix: str, family: Family, line: int) -> None:
        scope = self.current
        if prefix in scope.families or scope.lowest.get(prefix, family.count) < family.count:
            raise syntax_error(line, f"duplicate register '{prefix}<{family.count}>'.")
        scope.families[prefix] = family
        self.resolved.clear()

    def declare_label(self, name: str, line: int) -> str:
        """Declare a label; returns its unique name."""
        self.check_new(name, line, "label")
        self.current.labels[name] = unique = self.unique(name)
        return unique

    def unique(self, name: str) -> str:
        """A name that is unique among the function's variables and labels."""
        unique = name if name not in self.used_names else f"{name}@{len(self.used_names)}"
        self.used_names.add(unique)
        return unique

    def register(self, unique: str, attributes: Attributes) -> Register | Vector:
        """The operand for a register's name: for a vector register, its elements."""
        if attributes.vector == 1:
            self.registers[unique] = attributes.type
            return Register(unique)
        parts = [f"{unique}.{selector}" for selector in "xyzw"[: attributes.vector]]
        self.registers.update(dict.fromkeys(parts, attributes.type))
        return Vector(tuple(Register(part) for part in parts))

    # ---- uses

    def find(self, name: str) -> Operand | None:
        """What `name` means, or None."""
        if name not in self.resolved:
            self.resolved[name] = next(
                (operand for scope in self.current.chain() if (operand := self.find_in(scope, name)) is not None), None
            )
        return self.resolved[name]

    def find_in(self, scope: Scope, name: str) -> Operand | None:
        if name in scope.names:
            return scope.names[name]
        if scope.families:
            for prefix, k in numbered(name):
                family = scope.families.get(prefix)
                if family is not None and k < family.count:
                    return self.register(f"{prefix}{k}{scope.suffix}", family.attributes)
        vector_name, _, selector = name.partition(".")
        vector = self.find_in(scope, vector_name) if selector in COMPONENTS else None
        if isinstance(vector, Vector) and COMPONENTS[selector] < len(vector.parts):
            return vector.parts[COMPONENTS[selector]]
        return None
