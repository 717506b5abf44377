"""Declarations of variables, parameters and registers: state space, alignment, type, name, length, initial values.

(PTX ISA, "State Spaces, Types, and Variables".)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ptxbench.emulator.constants import expression, float_bits, signed, size, whole_expression
from ptxbench.emulator.syntax import Immediate, Masked, Symbol, Variable
from ptxbench.emulator.tokens import END, Cursor, is_name, is_number, quoted, syntax_error
from ptxbench.emulator.types import PRED, TYPES, Type

STATE_SPACES = (".global", ".const", ".shared", ".local", ".param")
VECTORS = {".v2": 2, ".v4": 4}
MOST_VECTOR_BITS = 128
TEXTURES = (".texref", ".samplerref", ".surfref")
"""Types of variables of the module and of parameters of kernels, which only instructions for textures use."""
NO_TEXTURES = "is not supported, because no textures and surfaces are modelled"
INSTRUCTION_TYPES = ("bf16", "bf16x2", "tf32", "f32x2", "e4m3x2", "e5m2x2", "e2m3x2", "e3m2x2", "e2m1x2", "ue8m0x2",
                     "s2f6x2")  # fmt: skip
"""Types of instructions only: variables cannot have them."""
MOST_INITIAL = 1 << 24
"""The most elements up to the last one with an initial value."""
MOST_VARIABLES = 1 << 16
"""The most variables in a family such as `tile<4>`."""
BYTES_OF_AN_ADDRESS = {0xFF << 8 * byte: 8 * byte for byte in range(8)}
"""The masks of an initialiser, and the first bit of each."""


@dataclass(frozen=True)
class Attributes:
    """The part before the names of a declaration. `align` is 0 if none is given."""

    align: int
    vector: int
    type: Type
    texture: str = ""
    """One of TEXTURES; `type` is then that of a handle."""

    @property
    def alignment(self) -> int:
        return self.align or self.type.bytes * self.vector


def read_attributes(cursor: Cursor) -> Attributes:
    """`.align 16 .v4 .f32`, with `.attribute(...)`; for a parameter also `.ptr .global .align 4`, which is a
    promise."""
    align, vector, kind, pointer, texture = 0, 1, None, False, ""
    while cursor.next.startswith(".") and not is_number(cursor.next):
        name = cursor.take()
        if name == ".align":
            number = size(cursor)
            if number < 1 or number & (number - 1):
                raise syntax_error(cursor.last_line, f"expected an alignment that is a power of two, found {number}.")
            align = align if pointer else number  # after .ptr: the alignment of the target
        elif name in VECTORS:
            vector = VECTORS[name]
        elif name in TEXTURES and kind is None:
            kind, texture = TYPES["u64"], name
        elif name == ".ptr":
            pointer = True
        elif name == ".attribute":
            cursor.expect("(")
            nested = 1
            while nested:
                if cursor.next == END:
                    raise cursor.error("')'")
                nested += {"(": 1, ")": -1}.get(cursor.take(), 0)
        elif name[1:] in TYPES and name[1:] not in INSTRUCTION_TYPES and kind is None:
            kind = TYPES[name[1:]]
        elif not (pointer and name in (*STATE_SPACES, *TEXTURES)):
            raise syntax_error(cursor.last_line, f"expected a type, found {quoted(name)}.")
    if kind is None:
        raise cursor.error("a type")
    if vector * kind.bits > MOST_VECTOR_BITS or (vector > 1 and kind is PRED):
        raise syntax_error(cursor.last_line, f"unknown vector type .v{vector} .{kind}; a vector has at most 128 bits.")
    return Attributes(align, vector, kind, texture)


def declared_name(cursor: Cursor) -> str:
    word = cursor.next
    if "." in word or ":" in word or word in ("_", "WARP_SZ"):
        raise cursor.error("a name")
    return cursor.name("a name")


def read_variables(cursor: Cursor, *, extern: bool = False) -> list[Variable]:
    """`.shared .align 16 .f32 tile[32][33], other;`, from the state space on."""
    line = cursor.line
    space = cursor.take()[1:].partition("::")[0]
    attributes = read_attributes(cursor)
    if attributes.texture and space != "global":
        raise syntax_error(line, f"a variable of {attributes.texture} must be .global.")
    variables: list[Variable] = []
    while True:
        variables.extend(read_variable(cursor, space, attributes, line, extern=extern))
        if not cursor.accept(","):
            break
    cursor.expect(";")
    return variables


def read_variable(
    cursor: Cursor, space: str, attributes: Attributes, line: int, *, extern: bool = False
) -> Iterator[Variable]:
    """One name, with its length and its initial values; `name<3>` is three variables."""
    name = declared_name(cursor)
    kind = attributes.type
    if kind is PRED:
        raise syntax_error(line, f"'{name}' cannot be .pred; only a register can.")
    if cursor.accept("<"):
        count = size(cursor)
        cursor.expect(">")
        if count > MOST_VARIABLES:
            raise syntax_error(line, f"'{name}<{count}>' declares more than {MOST_VARIABLES:,} variables.")
        for k in range(count):
            yield Variable(f"{name}{k}", space, kind, attributes.alignment, 1, line, attributes.vector)
        return
    dimensions = read_dimensions(cursor)
    initial: tuple[int | Symbol | Masked, ...] = ()
    length: int | None = 1
    if cursor.accept("="):
        if space not in ("global", "const") or extern:
            raise syntax_error(line, f"'{name}' cannot have an initial value: only a .global or .const variable can.")
        vector = (attributes.vector,) if attributes.vector > 1 else ()
        if attributes.texture:
            skip_braces(cursor)
            first = 1
        else:
            initial, first = read_initial(cursor, kind, (*dimensions, *vector), bool(vector))
        dimensions = [first if dimension is None else dimension for dimension in dimensions]
    for dimension in dimensions:
        length = None if dimension is None or length is None else length * dimension
    yield Variable(name, space, kind, attributes.alignment, length, line, attributes.vector, bool(dimensions), initial)


def skip_braces(cursor: Cursor) -> None:
    """`{ addr_mode_0 = clamp_to_border, filter_mode = nearest }`, the fields of a sampler; `{ {...}, {...} }` of
    several."""
    cursor.expect("{")
    depth = 1
    while depth:
        if cursor.next == END:
            raise cursor.error("'}'")
        depth += {"{": 1, "}": -1}.get(cursor.take(), 0)


def read_dimensions(cursor: Cursor) -> list[int | None]:
    """`[2][3]`; only the first may be left out, which gives None."""
    dimensions: list[int | None] = []
    while cursor.accept("["):
        if not dimensions and cursor.accept("]"):
            dimensions.append(None)
            continue
        length = size(cursor)
        if length == 0:
            raise syntax_error(cursor.last_line, "expected the length of an array, found 0.")
        dimensions.append(length)
        cursor.expect("]")
    return dimensions


def read_initial(
    cursor: Cursor, kind: Type, lengths: tuple[int | None, ...], vector: bool
) -> tuple[tuple[int | Symbol | Masked, ...], int]:
    """The initial values in order, and the length of the outermost list.

    The braces nest as `lengths` do. A list may be shorter than its length; it is filled with zeros, except for the
    elements of a vector, the last of the lengths.
    """
    if not lengths:
        return (read_value(cursor, kind),), 1
    strides = [1]
    for length in reversed(lengths[1:]):
        strides.insert(0, strides[0] * (length or 0))
    values: list[int | Symbol | Masked] = []
    starts, counts = [0], [0]  # for the open lists: the first element, and how many were read
    cursor.expect("{")
    just_opened = True
    while True:
        level = len(counts) - 1
        if not (just_opened and cursor.next == "}"):
            length = lengths[level]
            if length is not None and counts[level] == length:
                raise syntax_error(cursor.line, f"too many initial values: expected at most {length}.")
            start = starts[level] + counts[level] * strides[level]
            counts[level] += 1
            if level + 1 < len(lengths):
                cursor.expect("{")
                starts.append(start)
                counts.append(0)
                just_opened = True
                continue
            if start >= MOST_INITIAL:
                raise syntax_error(
                    cursor.line, f"initial values of more than {MOST_INITIAL:,} elements are not supported."
                )
            values.extend([0] * (start - len(values)))
            values.append(read_value(cursor, kind))
        just_opened = False
        while counts and not cursor.accept(","):  # the lists that end here
            if vector and len(counts) == len(lengths) and counts[-1] != lengths[-1]:
                raise syntax_error(cursor.line, f"expected {lengths[-1]} elements of a vector, found {counts[-1]}.")
            cursor.expect("}")
            starts.pop()
            first = counts.pop()
        if not counts:
            return tuple(values), first


def read_value(cursor: Cursor, kind: Type) -> int | Symbol | Masked:
    """A number, as the bits of `kind`, or the address of a variable or function: `name + 4`, `generic(name) + 4`."""
    line = cursor.line
    if is_number(cursor.next) and cursor.following == "(":
        mask = size(cursor)
        if mask not in BYTES_OF_AN_ADDRESS or kind.bytes != 1:
            raise syntax_error(line, "expected one byte of an address, such as 0xff00(name), for an element of .u8.")
        cursor.expect("(")
        value = read_symbol(cursor) if is_name(cursor.next) else whole_expression(cursor)
        cursor.expect(")")
        return Masked(value, BYTES_OF_AN_ADDRESS[mask])
    if is_name(cursor.next) and cursor.next != "WARP_SZ":
        if kind.name not in ("u32", "u64"):
            raise syntax_error(line, f"expected a number for an element of .{kind}, found {quoted(cursor.next)}.")
        return read_symbol(cursor)
    return element_bits(expression(cursor), kind, line)


def read_symbol(cursor: Cursor) -> Symbol:
    if generic := cursor.next == "generic" and cursor.following == "(":
        cursor.take()
        cursor.take()
        name = cursor.name("a variable")
        cursor.expect(")")
    else:
        name = cursor.name("a variable or a function")
    return Symbol(name, signed(whole_expression(cursor)) if cursor.accept("+") else 0, generic)


def element_bits(value: Immediate, kind: Type, line: int) -> int:
    """A number as the bits of an element of `kind`."""
    is_integer = isinstance(value.value, int) and not value.bits
    if kind.name in ("f16", "f16x2"):
        raise syntax_error(line, f"a variable of .{kind} cannot have an initial value; declare it as .b{kind.bits}.")
    if kind.floating if is_integer else kind.kind in "us":
        expected = "a float" if kind.floating else "a whole number"
        raise syntax_error(line, f"expected {expected} for an element of .{kind}.")
    bits = int(value.value) if is_integer else float_bits(value, 32 if kind.bits == 32 else 64)
    return bits & (1 << kind.bits) - 1
