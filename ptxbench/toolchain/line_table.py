"""The line of each machine instruction, from the line programs that ptxas writes into a cubin with -lineinfo.

One program has the lines of the PTX, the other those of the text from which a compiler made the PTX. Both have the
format of .debug_line (DWARF 3, section 6.2). Only what ptxas 12.9 to 13.5 write is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ptxbench.toolchain.cubin import REL, RELA, Cubin

OF_PTX, OF_SOURCE = ".nv_debug_line_sass", ".debug_line"
"""The sections."""

VERSIONS = (2, 3)
END_SEQUENCE, SET_ADDRESS = 1, 2  # extended opcodes
COPY, ADVANCE_PC, ADVANCE_LINE, SET_FILE, CONST_ADD_PC, FIXED_ADVANCE_PC = 1, 2, 3, 4, 8, 9


class LineRow(NamedTuple):
    """The file and the line that begin at an address of the code. `file`: counted from 1 in the section's table."""

    address: int
    file: int
    line: int


def is_in(cubin: Cubin) -> bool:
    """Whether a cubin has lines of the PTX."""
    return any(section.name == OF_PTX for section in cubin.sections)


def rows(cubin: Cubin, entry: str) -> dict[int, int]:
    """The line of the PTX that begins at each address of the code of `entry`; it lasts until the next address.

    Raises ValueError if the cubin has no line program, or one of another format.
    """
    return {row.address: row.line for row in read(cubin, entry, OF_PTX)}


def source_rows(cubin: Cubin, entry: str, name: str) -> dict[int, int | None]:
    """The line of the file `name` that begins at each address; None for code of another file. Raises ValueError as
    `rows`."""
    entry_rows = read(cubin, entry, OF_SOURCE)
    content = next(section.content for section in cubin.sections if section.name == OF_SOURCE)
    file_numbers = {number for number, file in enumerate(files(content), 1) if file == name}
    return {row.address: row.line if row.file in file_numbers and row.line else None for row in entry_rows}


def read(cubin: Cubin, entry: str, name: str) -> list[LineRow]:
    """The rows of `entry` in the section of that name."""
    number = next((i for i, section in enumerate(cubin.sections) if section.name == name), None)
    if number is None:
        raise ValueError(f"no section {name}")
    try:
        content = cubin.sections[number].content
        if result := list(program(content, starts(cubin, number, entry), name)):
            return result
        raise ValueError(f"{name} has no lines of {entry}")
    except (struct.error, IndexError) as error:
        raise ValueError(f"{name} is cut short: {error}") from None


def files(content: bytes) -> list[str]:
    """The names in the file table of a section, whose first program lists all files."""
    position = 14 + content[14]  # after the numbers of operands
    while content[position]:  # folders
        position = content.index(0, position) + 1
    result, position = [], position + 1
    while content[position]:
        end = content.index(0, position)
        result.append(content[position:end].decode("utf-8", "replace"))
        position = end + 1
        for _ in ("folder", "time", "size"):
            _, position = unsigned(content, position)
    return result


def starts(cubin: Cubin, number: int, entry: str) -> dict[int, int]:
    """The addresses in the code of `entry` that belong into section `number`, by their offset there."""
    content = cubin.sections[number].content
    result = {}
    for section in cubin.sections:
        if section.type in (RELA, REL) and section.info == number:
            for fields in struct.iter_unpack("<QQq" if section.type == RELA else "<QQ", section.content):
                offset, symbol = fields[0], cubin.symbols[fields[1] >> 32]
                # a relocation without an addend adds to the value in the section
                addend = fields[2] if section.type == RELA else struct.unpack_from("<Q", content, offset)[0]
                if cubin.sections[symbol.section].name == f".text.{entry}":
                    result[offset] = symbol.value + addend
    return result


def program(content: bytes, addresses: dict[int, int], name: str = OF_PTX) -> Iterator[LineRow]:
    """Each row of the sequences that start at one of `addresses`, by the offset of the operand."""
    position = 0
    while position < len(content):
        length, version, header_length = struct.unpack_from("<IHI", content, position)
        if version not in VERSIONS or length >= 0xFFFFFFF0:
            raise ValueError(f"{name} has version {version}")
        step, _, base, span, first_special = struct.unpack_from("<BBbBB", content, position + 10)
        operands = content[position + 15 : position + 14 + first_special]
        end, position = position + 4 + length, position + 10 + header_length
        address, file, line, in_entry = 0, 1, 1, False
        while position < end:
            opcode, position = content[position], position + 1
            if opcode >= first_special:
                advance, delta = divmod(opcode - first_special, span)
                address, line = address + step * advance, line + base + delta
                if in_entry:
                    yield LineRow(address, file, line)
            elif opcode == 0:
                size, position = unsigned(content, position)
                if content[position] == SET_ADDRESS:
                    in_entry = position + 1 in addresses
                    address = addresses.get(position + 1, 0)
                elif content[position] == END_SEQUENCE:
                    address, file, line, in_entry = 0, 1, 1, False
                position += size
            elif opcode == COPY:
                if in_entry:
                    yield LineRow(address, file, line)
            elif opcode == ADVANCE_PC:
                advance, position = unsigned(content, position)
                address += step * advance
            elif opcode == ADVANCE_LINE:
                delta, position = signed(content, position)
                line += delta
            elif opcode == SET_FILE:
                file, position = unsigned(content, position)
            elif opcode == CONST_ADD_PC:
                address += step * ((255 - first_special) // span)
            elif opcode == FIXED_ADVANCE_PC:
                address, position = address + struct.unpack_from("<H", content, position)[0], position + 2
            else:
                for _ in range(operands[opcode - 1]):
                    _, position = unsigned(content, position)


def unsigned(content: bytes, position: int) -> tuple[int, int]:
    """(an unsigned LEB128 number, the offset after it)."""
    result = shift = 0
    while True:
        byte, position = content[position], position + 1
        result |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return result, position


def signed(content: bytes, position: int) -> tuple[int, int]:
    """(a signed LEB128 number, the offset after it)."""
    start = position
    result, position = unsigned(content, position)
    bits = 7 * (position - start)
    return result - (1 << bits if result >> bits - 1 & 1 else 0), position
