"""The syntax tree of PTX text, which `parse` builds. Data only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ptxbench.emulator.types import Type
from ptxbench.emulator.used_bytes import EVERY_BYTE


@dataclass(frozen=True)
class Register:
    """A declared register; `name` is unique in its function, whatever the scope."""

    name: str


@dataclass(frozen=True)
class Special:
    """A predefined register such as %tid.x."""

    name: str


@dataclass(frozen=True)
class Immediate:
    """A number; `bits` is 32 or 64 if the text gives the bit pattern of a float (0f..., 0d...)."""

    value: int | float
    bits: int = 0


@dataclass(frozen=True)
class Symbol:
    """A variable, parameter, label or function, with a byte offset. `generic`: its generic address is meant."""

    name: str
    offset: int = 0
    generic: bool = False


@dataclass(frozen=True)
class Sum:
    """`r + 4` as a source: added in the register's own width."""

    register: Register
    offset: int


@dataclass(frozen=True)
class Element:
    """`name[r]`, `name[r + 1]`: the address of an element, `index` times `scale` bytes from the start.

    The index has 32 bits, unsigned, whatever the register's type. (As in ptxas's code.)
    """

    symbol: Symbol
    index: Register | Sum
    scale: int


@dataclass(frozen=True)
class Masked:
    """`0xff00(name + 4)` in an initialiser: one byte of an address or a number."""

    value: Symbol | int
    shift: int


@dataclass(frozen=True)
class Sink:
    """`_`: the result is discarded."""


@dataclass(frozen=True)
class Address:
    """`[base + offset]`, or an element of an array such as `name[r]`."""

    base: Register | Symbol | Immediate | Element
    offset: int = 0

    @property
    def variable(self) -> str:
        """The name of the variable or parameter that the address starts from, "" without one."""
        if isinstance(self.base, Element):
            return self.base.symbol.name
        return self.base.name if isinstance(self.base, Symbol) else ""


@dataclass(frozen=True)
class Vector:
    """`{a, b, ...}`."""

    parts: tuple[Operand, ...]


@dataclass(frozen=True)
class Dual:
    """`d|p`: two results."""

    first: Operand
    second: Operand


@dataclass(frozen=True)
class Not:
    """`!p` as a source."""

    operand: Operand


@dataclass(frozen=True)
class Selected:
    """`r.h1`, `r.b3210`: the halves or bytes of a register that a video instruction uses."""

    register: Register
    selector: str


@dataclass(frozen=True)
class Negated:
    """`-r`: a source of vmad with a minus sign."""

    operand: Operand


@dataclass(frozen=True)
class Group:
    """`(a, b)`: the parameters of a call; `[a, b]`: a texture or tensor with coordinates."""

    parts: tuple[Operand, ...]


Operand = (
    Register
    | Special
    | Immediate
    | Symbol
    | Sum
    | Element
    | Sink
    | Address
    | Vector
    | Dual
    | Not
    | Selected
    | Negated
    | Group
)


def parts(operand: Operand) -> tuple[Operand, ...]:
    """The operands directly inside an operand."""
    match operand:
        case Address():
            return (operand.base,)
        case Vector() | Group():
            return operand.parts
        case Dual():
            return operand.first, operand.second
        case Not() | Negated():
            return (operand.operand,)
        case Selected() | Sum():
            return (operand.register,)
        case Element():
            return operand.symbol, operand.index
        case _:
            return ()


def registers(operand: Operand) -> Sequence[str]:
    """The names of the registers in an operand, also inside an address or a vector."""
    if isinstance(operand, Register):
        return (operand.name,)
    return [name for part in parts(operand) for name in registers(part)]


def symbols(operand: Operand) -> Iterator[str]:
    """The names of variables and functions in an operand."""
    if isinstance(operand, Symbol):
        yield operand.name
    for part in parts(operand):
        yield from symbols(part)


def plain(operand: Operand) -> tuple[Operand, str, bool]:
    """An operand without its selector and its sign, the selector ("" without), and whether it is negated."""
    negated = isinstance(operand, Negated)
    if isinstance(operand, Negated):
        operand = operand.operand
    if isinstance(operand, Selected):
        return operand.register, operand.selector, negated
    return operand, "", negated


@dataclass(frozen=True)
class Variable:
    """A variable or parameter: `count` elements of `type`; None for an array of unknown length."""

    name: str
    space: str
    type: Type
    align: int
    count: int | None
    line: int
    vector: int = 1
    """1, 2 or 4: elements of a .v2 or .v4 type count once."""
    array: bool = False
    initial: tuple[int | Symbol | Masked, ...] = ()
    """Initial values of the first elements, numbers as the bits of the element's type; the rest are zeros."""

    @property
    def size_bytes(self) -> int:
        """Bytes it takes, 0 for an array of unknown length."""
        return self.type.bytes * self.vector * (self.count or 0)


@dataclass(frozen=True)
class Instruction:
    """One statement: `@!guard opcode operands;`."""

    line: int
    opcode: str
    operands: tuple[Operand, ...] = ()
    guard: Register | None = None
    negated: bool = False
    used_bytes: int = EVERY_BYTE
    """Of a load: a mask of the bytes that the kernel uses."""


@dataclass(frozen=True)
class Prototype:
    """`.callprototype (returns) _ (params)`: the signature of a function called through a register."""

    params: tuple[Variable, ...] = ()
    returns: tuple[Variable, ...] = ()
    noreturn: bool = False


@dataclass(eq=False)  # equal only to itself: analyses are cached by function
class Function:
    """An .entry or .func. `labels`: for each label, the index of the instruction after it."""

    name: str
    entry: bool
    line: int
    params: tuple[Variable, ...] = ()
    returns: tuple[Variable, ...] = ()
    registers: dict[str, Type] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    branch_targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    prototypes: dict[str, Prototype] = field(default_factory=dict)
    """By label."""
    call_targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Functions that a call through a register may reach, by the label of a .calltargets."""
    directives: dict[str, tuple[int, ...]] = field(default_factory=dict)
    defined: bool = True

    @property
    def symbol_names(self) -> frozenset[str]:
        """Names of variables, parameters and functions among the operands."""
        return self.names_by_class[Symbol]

    @property
    def special_names(self) -> frozenset[str]:
        """Names of predefined registers among the operands."""
        return self.names_by_class[Special]

    @cached_property
    def names_by_class(self) -> Mapping[type[Operand], frozenset[str]]:
        """Names of symbols and of predefined registers among the operands, the parts of vectors, and the arrays of
        elements, also in addresses."""
        names: dict[type[Operand], set[str]] = {Symbol: set(), Special: set()}
        for instruction in self.instructions:
            for operand in instruction.operands:
                if isinstance(operand, Register):  # most are
                    continue
                for part in operand.parts if isinstance(operand, Vector) else (operand,):
                    if isinstance(part, Address) and isinstance(part.base, Element):
                        part = part.base
                    if isinstance(part, Element):
                        part = part.symbol
                    if isinstance(part, Symbol | Special):
                        names[type(part)].add(part.name)
        return {kind: frozenset(of_kind) for kind, of_kind in names.items()}


@dataclass(frozen=True, eq=False)  # equal only to itself, as its functions are
class Module:
    """A PTX file."""

    version: str
    target: tuple[str, ...]
    address_size: int
    variables: Mapping[str, Variable]
    functions: Mapping[str, Function]

    @property
    def entries(self) -> dict[str, Function]:
        """The kernels, by name; not those that the text only declares."""
        return {name: function for name, function in self.functions.items() if function.entry and function.defined}

    @cached_property
    def used_names(self) -> frozenset[str]:
        """Names among the operands of all functions, and in the initialisers of the variables with such names."""
        used = {
            name
            for function in self.functions.values()
            for instruction in function.instructions
            for operand in instruction.operands
            if not isinstance(operand, Register)  # most are
            for name in symbols(operand)
        }
        waiting = [*used]
        while waiting:
            variable = self.variables.get(waiting.pop())
            named = (part.value if isinstance(part, Masked) else part for part in variable.initial) if variable else ()
            found = {part.name for part in named if isinstance(part, Symbol)} - used
            used |= found
            waiting += found
        return frozenset(used)
