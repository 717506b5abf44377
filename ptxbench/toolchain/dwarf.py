"""The debugging entries of PTX that was compiled with -G: sections .debug_info and .debug_abbrev as text.

Reads DWARF 2 to 4, section 7, whatever the entries describe. Imports nothing of ptxbench.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

SUBPROGRAM, FORMAL_PARAMETER, MEMBER, INHERITANCE = 0x2E, 0x05, 0x0D, 0x1C
POINTER, REFERENCE, RVALUE_REFERENCE, CONST, VOLATILE, RESTRICT = 0x0F, 0x10, 0x42, 0x26, 0x35, 0x37
ARRAY, SUBRANGE, STRUCTURE, CLASS, UNION, ENUMERATION, TYPEDEF, BASE = 0x01, 0x21, 0x13, 0x02, 0x17, 0x04, 0x16, 0x24
"""Tags."""

NAME, BYTE_SIZE, BIT_SIZE, UPPER_BOUND, COUNT, MEMBER_LOCATION, ENCODING = 0x03, 0x0B, 0x0D, 0x2F, 0x37, 0x38, 0x3E
TYPE, LINKAGE_NAME, MIPS_LINKAGE_NAME = 0x49, 0x6E, 0x2007
"""Attributes."""

FIXED = {0x01: 8, 0x05: 2, 0x06: 4, 0x07: 8, 0x0B: 1, 0x0C: 1, 0x0E: 4, 0x17: 4, 0x20: 8}
"""Forms by their bytes: an address, numbers, a flag, offsets in other sections."""

REFERENCES = {0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8}
"""Forms of a reference to an entry of the same unit, by their bytes."""

BLOCKS = {0x03: 2, 0x04: 4, 0x0A: 1}
"""Forms of bytes after their number, by the bytes of that number."""

STRING, BLOCK, SIGNED, UNSIGNED, REFERENCE_OF_UNSIGNED, EXPRESSION, PRESENT = 0x08, 0x09, 0x0D, 0x0F, 0x15, 0x18, 0x19
WIDTHS = {"b8": 1, "b16": 2, "b32": 4, "b64": 8}
VERSIONS = (2, 3, 4)


class UnreadableError(Exception):
    """The sections are not DWARF 2 to 4, or end too early."""


@dataclass(frozen=True)
class DebugEntry:
    """An entry. `attributes`: numbers, text, or bytes; a reference is the position of an entry in the section."""

    tag: int
    attributes: dict[int, int | str | bytes]
    children: list[DebugEntry] = field(default_factory=list)

    def number(self, attribute: int) -> int | None:
        value = self.attributes.get(attribute)
        return value if isinstance(value, int) else None

    def text(self, attribute: int) -> str | None:
        value = self.attributes.get(attribute)
        return value if isinstance(value, str) else None

    def of(self, *tags: int) -> list[DebugEntry]:
        """Its children with these tags, in order."""
        return [child for child in self.children if child.tag in tags]


def entries(ptx: str) -> dict[int, DebugEntry]:
    """Each entry by its position in .debug_info; empty if the PTX has none. Raises UnreadableError."""
    info, abbreviations = section(ptx, ".debug_info"), section(ptx, ".debug_abbrev")
    result: dict[int, DebugEntry] = {}
    start = 0
    while start < len(info):
        start = read_unit(Bytes(info, start), abbreviations, result)
    return result


def section(ptx: str, name: str) -> bytes:
    """The bytes of a section; an address or another symbol counts as 0."""
    match = re.search(rf"^\s*\.section\s+{re.escape(name)}\s*\{{(.*?)\}}", ptx, re.M | re.S)
    result = bytearray()
    for directive, values in re.findall(r"^\s*\.(b\d+)\s+(.*?)\s*$", match[1] if match else "", re.M):
        if directive not in WIDTHS:
            raise UnreadableError(f"unknown directive .{directive}")
        for value in values.split(","):
            literal = re.fullmatch(r"\s*(-?)(?:0[xX]([0-9a-fA-F]{1,20})|(\d{1,20}))\s*", value)
            number = int(literal[2] or literal[3], 16 if literal[2] else 10) if literal else 0
            number = -number if literal and literal[1] else number
            result += (number % (1 << 8 * WIDTHS[directive])).to_bytes(WIDTHS[directive], "little")
    return bytes(result)


class Bytes:
    """A cursor over a section."""

    def __init__(self, content: bytes, position: int = 0) -> None:
        self.content = content
        self.position = position

    def take(self, count: int) -> bytes:
        if self.position + count > len(self.content):
            raise UnreadableError("a section ends too early")
        self.position += count
        return self.content[self.position - count : self.position]

    def fixed(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def leb128(self, *, signed: bool = False) -> int:
        value = shift = 0
        while True:
            byte = self.fixed(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << shift) if signed and byte & 0x40 else value

    def string(self) -> str:
        end = self.content.find(b"\0", self.position)
        if end < 0:
            raise UnreadableError("a string has no end")
        text = self.take(end - self.position).decode(errors="replace")
        self.position += 1
        return text


def read_unit(cursor: Bytes, abbreviations: bytes, result: dict[int, DebugEntry]) -> int:
    """Add the entries of the unit at the cursor; returns the position of the next unit."""
    start = cursor.position
    end = start + 4 + cursor.fixed(4)
    version, table, _address_bytes = cursor.fixed(2), cursor.fixed(4), cursor.fixed(1)
    if version not in VERSIONS or end > len(cursor.content):
        raise UnreadableError(f"DWARF version {version}")
    shapes = dict(read_abbreviations(Bytes(abbreviations, table)))
    open_entries: list[DebugEntry] = []
    while cursor.position < end:
        position, code = cursor.position, cursor.leb128()
        if code == 0:  # the end of a list of children
            if open_entries:
                open_entries.pop()
            continue
        if code not in shapes:
            raise UnreadableError(f"unknown abbreviation {code}")
        tag, has_children, attributes = shapes[code]
        entry = DebugEntry(tag, {name: read_value(cursor, form, start) for name, form in attributes})
        result[position] = entry
        if open_entries:
            open_entries[-1].children.append(entry)
        if has_children:
            open_entries.append(entry)
    return end


def read_abbreviations(cursor: Bytes) -> Iterator[tuple[int, tuple[int, bool, list[tuple[int, int]]]]]:
    """code, (tag, whether it has children, attributes with their forms), until the end of the table."""
    while code := cursor.leb128():
        tag, has_children = cursor.leb128(), cursor.fixed(1) == 1
        attributes = []
        while (pair := (cursor.leb128(), cursor.leb128())) != (0, 0):
            attributes.append(pair)
        yield code, (tag, has_children, attributes)


def read_value(cursor: Bytes, form: int, unit: int) -> int | str | bytes:
    """The value of an attribute in this form."""
    if form in FIXED:
        return cursor.fixed(FIXED[form])
    if form in REFERENCES:
        return unit + cursor.fixed(REFERENCES[form])
    if form in BLOCKS:
        return cursor.take(cursor.fixed(BLOCKS[form]))
    if form == STRING:
        return cursor.string()
    if form in (SIGNED, UNSIGNED):
        return cursor.leb128(signed=form == SIGNED)
    if form == REFERENCE_OF_UNSIGNED:
        return unit + cursor.leb128()
    if form in (BLOCK, EXPRESSION):
        return cursor.take(cursor.leb128())
    if form == PRESENT:
        return 1
    raise UnreadableError(f"unknown form {form:#x}")
