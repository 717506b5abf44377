"""The notation of `--arg`: parses text into arguments. Knows nothing of kernels.

    [NAME:]TYPE=NUMBER           passed by value              u32=1024   a:f32=2.5   u32=0xff   f32=0f3f800000
    [NAME:]TYPE[SHAPE]=FILL      an array, by its address     'f32[1024]=random'   'y:f16[32,64]=zeros'
    [NAME:]FILE.npy              an array as the file has it  x:input.npy
    [NAME:]null                  a null pointer
    [NAME:]{ARG, ARG, ...}       a structure, by value        '{x:f32[32]=iota, u32=32}'
    [NAME:]&{ARG, ARG, ...}      a structure, by its address  '&{f32[32]=iota, f32[32]=zeros}': an array of pointers
    [NAME:]&NAME[INDEX]          the address of an element    '&x[16]'   '&x'   '&view.x'
    [NAME:]map(ARRAY, box=...)   a tensor map, by value       'map(&x, box=64x8, swizzle=128)' (maps.py)

TYPE is a width with b, u, s (8 to 64), f (16 to 64), or bf16. FILL is zeros, iota (0, 1, 2, ...), random (floats in
[-1, 1), integers of any value), random(LOW,HIGH) (floats below HIGH, integers up to it), a number, or FILE.npy.
The members of a structure are laid out as in C: each aligned to its size, an array as the 8 bytes of its address.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.arguments.elements import TYPES, ElementType, element_type, number, quoted
from ptxbench.arguments.fills import check_fill, described, fill, load, read_shape
from ptxbench.arguments.maps import EXAMPLE, parse_options
from ptxbench.errors import UsageError
from ptxbench.tensor_map import MAP_ALIGN, MAP_BYTES, TensorMap

NOTATION = "[NAME:]TYPE=NUMBER, '[NAME:]TYPE[SHAPE]=FILL', [NAME:]FILE.npy or [NAME:]null"
MOST_BYTES = 1 << 32
"""The most bytes of one array: more is probably a typing error, and would use up this machine's memory."""

MOST_NESTED = 16
"""The greatest depth of nested structures."""

POINTER = np.dtype(object)
"""The dtype of a structure's field that holds an address (`emulator.Pointer`)."""


@dataclass(frozen=True)
class Argument:
    """A number, an array or null. `type` is None for null and if a file gives it; `shape` is None for a number."""

    text: str
    name: str | None
    type: ElementType | None
    shape: tuple[int, ...] | None
    fill: str

    @property
    def by_value(self) -> bool:
        return self.type is not None and self.shape is None

    @property
    def null(self) -> bool:
        return self.type is None and self.fill == "null"

    @property
    def is_array(self) -> bool:
        return not (self.by_value or self.null)

    @property
    def member_dtype(self) -> np.dtype[Any]:
        """Its dtype as a member of a structure."""
        return self.type.dtype if self.type is not None and self.by_value else POINTER

    def value(self, seed: tuple[int, ...]) -> Any:
        """A NumPy scalar, a new C-contiguous array, or None for null. `seed`: for random values.

        Raises UsageError for a file that cannot be read or has other contents.
        """
        if self.null:
            return None
        if self.type is None or self.fill.endswith(".npy"):
            return self.from_file()
        if self.shape is None:
            return self.type.hold(np.array([number(self.fill, self.type, self.text)]))[0]
        try:
            return fill(self.fill, self.type, self.shape, np.random.default_rng(seed), quoted(self.text))
        except MemoryError:
            raise UsageError(f"'{quoted(self.text)}': not enough memory for this many elements.") from None

    def from_file(self) -> NDArray[Any]:
        array = load(Path(self.fill), quoted(self.text))
        if self.type is not None and (array.dtype != self.type.dtype or array.shape != self.shape):
            raise UsageError(
                f"'{quoted(self.text)}': {self.fill} holds {described(array)}. Write the file's name alone to take it "
                f"as it is."
            )
        return array

    def type_of(self, array: NDArray[Any]) -> ElementType:
        """The element type of its array. For a file it is that of the dtype, by its PTX name if there is one."""
        if self.type is not None:
            return self.type
        ptx_names = (
            name for name, element in reversed(TYPES.items()) if element.dtype == array.dtype and name != "bf16"
        )
        return ElementType(next(ptx_names, str(array.dtype)), array.dtype)


@dataclass(frozen=True)
class Structure:
    """`{...}`, or `&{...}` if `by_address`."""

    text: str
    name: str | None
    members: tuple[Member, ...]
    by_address: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its layout, as in C. A field has the member's name, or its index."""
        offsets: list[int] = []
        end = 0
        for member in self.members:
            offsets.append(-(-end // alignment(member)) * alignment(member))
            end = offsets[-1] + member.member_dtype.itemsize
        names, formats = zip(*((name, member.member_dtype) for name, member in self.fields()), strict=True)
        size = -(-end // self.alignment) * self.alignment
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})

    @property
    def alignment(self) -> int:
        """Of the structure by value, in bytes."""
        return max(map(alignment, self.members))

    @property
    def member_dtype(self) -> np.dtype[Any]:
        return POINTER if self.by_address else self.dtype

    def fields(self) -> Iterator[tuple[str, Member]]:
        for index, member in enumerate(self.members):
            yield member.name or str(index), member

    def described(self) -> str:
        """`data at 0, 1 at 8`: the offset of each member."""
        fields = self.dtype.fields
        assert fields is not None
        return ", ".join(f"{name} at {field[1]}" for name, field in fields.items())


@dataclass(frozen=True)
class Reference:
    """`&NAME` or `&NAME[INDEX]`: an element of the array that another argument, or a member of one, points to."""

    text: str
    name: str | None
    target: str
    index: int

    @property
    def member_dtype(self) -> np.dtype[Any]:
        return POINTER


@dataclass(frozen=True)
class TensorMapArgument:
    """`map(ARRAY, ...)`: a tensor map of a new array, or of that of another argument."""

    text: str
    name: str | None
    array: Argument | Reference
    map: TensorMap
    align: int = MAP_ALIGN
    """As a member of a structure, in bytes."""

    @property
    def member_dtype(self) -> np.dtype[Any]:
        """Its 64-bit words, of which the first one is the address of the array."""
        return np.dtype((POINTER, MAP_BYTES // POINTER.itemsize))


Parsed = Argument | Structure | Reference | TensorMapArgument
Member = Parsed


def alignment(member: Member) -> int:
    """The alignment of a member of a structure, in bytes."""
    if isinstance(member, Structure) and not member.by_address:
        return member.alignment
    return member.align if isinstance(member, TensorMapArgument) else member.member_dtype.alignment


def with_aligned_maps(argument: Parsed, align: int) -> Parsed:
    """The argument, in which the tensor maps of a structure by value have this alignment, in bytes."""
    if isinstance(argument, TensorMapArgument):
        return replace(argument, align=align)
    if isinstance(argument, Structure) and not argument.by_address:
        return replace(argument, members=tuple(with_aligned_maps(member, align) for member in argument.members))
    return argument


def parse(text: str, depth: int = 0) -> Parsed:
    """Read one `--arg`, or one member of a structure. Raises UsageError with the mistake."""
    label = quoted(text)
    name, rest = split_name(text)
    if rest.startswith(("{", "&{")):
        return parse_structure(text, name, rest, depth)
    if rest.startswith("map("):
        return parse_map(text, name, rest)
    if rest.startswith("&"):
        return parse_reference(text, name, rest)
    if rest == "null" or (rest.endswith(".npy") and "=" not in rest):
        return Argument(text, name, None, None, rest)
    type_and_shape, equals, value = rest.partition("=")
    if not equals:
        raise UsageError(f"'{label}' is not an argument. Write it as {NOTATION}.{hint(rest)}")
    match = re.fullmatch(r"(\w*)(?:\[(.*)\])?", type_and_shape)
    if match is None:
        raise UsageError(f"'{label}': '{quoted(type_and_shape)}' is not a type. Write u32, or for an array f32[1024].")
    element = element_type(match[1], label)
    if match[2] is None:
        number(value, element, label)
        return Argument(text, name, element, None, value)
    shape = read_shape(match[2], label)
    if (size := math.prod(shape) * element.dtype.itemsize) > MOST_BYTES:
        raise UsageError(f"'{label}' takes {size / 1e9:,.1f} GB; an array may have {MOST_BYTES / 1e9:.1f} GB.")
    check_fill(value, element, label)
    return Argument(text, name, element, shape, value)


def split_name(text: str) -> tuple[str | None, str]:
    """The name before the first colon, if it can be one."""
    match = re.match(r"([A-Za-z_$%][\w$]*|\d{1,9}):(?!\\)", text)
    return (match[1], text[match.end() :]) if match else (None, text)


def hint(text: str) -> str:
    """A suggestion for an argument without a type."""
    if re.fullmatch(r"[-+]?\d+", text):
        return f" A number needs its type: u32={quoted(text)}."
    if re.fullmatch(r"[-+]?[\d.]+(?:e[-+]?\d+)?", text):
        return f" A number needs its type: f32={quoted(text)}."
    if re.fullmatch(r"\w+\[.*\]", text):
        return f" An array needs its values: '{quoted(text)}=random'."
    return ""


# ---- structures


def parse_structure(text: str, name: str | None, rest: str, depth: int) -> Structure:
    label = quoted(text)
    if depth == MOST_NESTED:
        raise UsageError(f"'{label}': structures may be nested at most {MOST_NESTED} deep.")
    by_address = rest.startswith("&")
    members: list[Member] = []
    for part in split_members(rest.removeprefix("&").removeprefix("{"), label):
        members.append(parse(part, depth + 1))
    names = [member.name for member in members if member.name]
    if number := next((member_name for member_name in names if member_name.isdigit()), None):
        raise UsageError(f"'{label}': members are given in order; '{number}:' is not a name. Leave it out.")
    if twice := next((member_name for member_name in names if names.count(member_name) > 1), None):
        raise UsageError(f"'{label}': duplicate member name '{twice}'.")
    return Structure(text, name, tuple(members), by_address)


def parse_map(text: str, name: str | None, rest: str) -> TensorMapArgument:
    label = quoted(text)
    first, *options = split_members(rest.removeprefix("map("), label, ")", "tensor map")
    array = parse(first)
    if not isinstance(array, Reference) and not (isinstance(array, Argument) and array.is_array):
        raise UsageError(f"'{label}': '{quoted(first)}' is not an array. Write the map as {EXAMPLE}.")
    return TensorMapArgument(
        text, name, array, parse_options(options, array.target if isinstance(array, Reference) else "it", label)
    )


def split_members(text: str, label: str, end: str = "}", what: str = "structure") -> list[str]:
    """The members before the closing bracket `end`, split at the commas outside all brackets."""
    depth, start, members = 0, 0, []
    for at, character in enumerate(text):
        if character in "([{":
            depth += 1
        elif depth and character in ")]}":
            depth -= 1
        elif not depth and character in (",", end):
            members.append(text[start:at].strip())
            start = at + 1
        if character == end and start == at + 1:
            if text[start:].strip():
                raise UsageError(f"'{label}': expected the end after '{end}', found '{quoted(text[start:].strip())}'.")
            break
    else:
        raise UsageError(f"'{label}': expected '{end}' at the end of the {what}.")
    if "" in members:
        raise UsageError(f"'{label}': expected a member, such as u32=1024, found nothing.")
    return members


def parse_reference(text: str, name: str | None, rest: str) -> Reference:
    match = re.fullmatch(r"&([\w$%.]+)(?:\[(\d{1,18})\])?", rest)
    if match is None:
        raise UsageError(
            f"'{quoted(text)}': expected '&NAME' or '&NAME[INDEX]', the address of another argument's array or of its "
            f"element, or '&{{...}}', that of a structure."
        )
    return Reference(text, name, match[1], int(match[2] or 0))
