"""The contents of a cubin: its kernels, and the identity of a kernel's machine code.

Reads ELF (64-bit, little-endian), the format of a cubin. The layout is the generic ABI's; of NVIDIA's extensions only
the section names and the flag of an entry are used, as ptxas 12.9 to 13.5 write them.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import NamedTuple

ENTRY = 0x10
"""The bit of a symbol's `st_other` that marks a kernel (STO_CUDA_ENTRY)."""

NO_BITS, RELA, REL = 8, 4, 9  # sh_type: no bytes in the file; relocations with and without an addend


class Section(NamedTuple):
    name: str
    type: int
    content: bytes
    """Empty for a section without bytes in the file, such as shared memory."""
    size: int
    info: int
    """For relocations: the number of the section that they apply to."""


class ElfSymbol(NamedTuple):
    name: str
    other: int
    section: int
    value: int


@dataclass(frozen=True)
class Cubin:
    sections: tuple[Section, ...]
    symbols: tuple[ElfSymbol, ...]

    @property
    def entries(self) -> tuple[str, ...]:
        """The names of its kernels."""
        return tuple(symbol.name for symbol in self.symbols if symbol.other & ENTRY and symbol.name)


def read(data: bytes) -> Cubin:
    """The sections and symbols of a cubin. Raises ValueError if the data is not a cubin or is truncated."""
    try:
        if data[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a 64-bit little-endian ELF file")
        (table,) = struct.unpack_from("<Q", data, 0x28)
        size, count, names = struct.unpack_from("<HHH", data, 0x3A)
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
        names_at = headers[names][4]
        sections = []
        for name, kind, _, _, offset, length, _, info, _, _ in headers:
            content = b"" if kind == NO_BITS else data[offset : offset + length]
            sections.append(Section(text_at(data, names_at + name), kind, content, length, info))
        symbols = []
        for header, section in zip(headers, sections, strict=True):
            if section.name == ".symtab":
                strings_at = headers[header[6]][4]
                for name, _, other, index, value, _ in struct.iter_unpack("<IBBHQQ", section.content):
                    symbols.append(ElfSymbol(text_at(data, strings_at + name), other, index, value))
        return Cubin(tuple(sections), tuple(symbols))
    except (struct.error, IndexError) as error:
        raise ValueError(f"cut short: {error}") from None


def is_complete(data: bytes) -> bool:
    """Whether the file has all bytes of its tables and sections: a full disk may have cut it."""
    try:
        sections = read(data).sections
        programs, size, count = *struct.unpack_from("<Q", data, 0x20), *struct.unpack_from("<HH", data, 0x36)
    except (ValueError, struct.error):
        return False
    return programs + size * count <= len(data) and all(
        section.type == NO_BITS or len(section.content) == section.size for section in sections
    )


def text_at(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode("utf-8", "replace")


def identity(cubin: Cubin, entry: str, registers: int, shared_bytes: int) -> str:
    """A hash that is equal for two kernels if and only if the GPU runs the same machine code.

    It covers the code's bytes (nvdisasm does not print the scheduling bits), the constants and initialised variables,
    the targets of their relocations, registers and static shared memory. Names of kernels, variables and PTX registers,
    comments and white space do not change it. The parameters' bank, `.nv.constant0`, is excluded: each launch fills it.
    """
    parts: list[object] = [registers, shared_bytes]
    hashed = {
        index: kind
        for index, section in enumerate(cubin.sections)
        if (kind := kind_of(section.name, entry)) in (".text", ".nv.global.init") or is_constants(kind)
    }
    for index, kind in sorted(hashed.items(), key=lambda item: item[1]):
        parts += [kind, cubin.sections[index].content]
    for section in cubin.sections:
        if section.type in (RELA, REL) and section.info in hashed:
            parts += [hashed[section.info], relocations(cubin, section, entry)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


INSTRUCTION_BYTES = 16
"""Bytes of an instruction on every architecture since sm_70."""

NOP = bytes.fromhex("1879")
TRAPS = (bytes.fromhex("47790000f0ffffffffff8303"), bytes.fromhex("4779fc00fcffffffffff8303"))
"""The first bytes of a NOP and of a branch to itself, up to sm_8x and from sm_90 on; scheduling bits follow."""


def code(cubin: Cubin, entry: str) -> bytes | None:
    """The machine code of `entry` without the trap and the padding after it; None if there is none.

    The trap is an endless branch to itself that ptxas puts after the code; NOPs pad it.
    """
    section = next((section for section in cubin.sections if section.name == f".text.{entry}"), None)
    if section is None:
        return None
    length = len(section.content) // INSTRUCTION_BYTES * INSTRUCTION_BYTES
    while length and section.content.startswith((NOP, *TRAPS), length - INSTRUCTION_BYTES):
        length -= INSTRUCTION_BYTES
    return section.content[:length]


def instructions(cubin: Cubin, entry: str) -> int | None:
    """How many instructions `code` has."""
    machine_code = code(cubin, entry)
    return None if machine_code is None else len(machine_code) // INSTRUCTION_BYTES


def relocated(cubin: Cubin, entry: str) -> set[int]:
    """The addresses of the instructions of `entry` that the driver changes when it loads them."""
    return {
        fields[0] // INSTRUCTION_BYTES * INSTRUCTION_BYTES
        for section in cubin.sections
        if section.type in (RELA, REL) and cubin.sections[section.info].name == f".text.{entry}"
        for fields in struct.iter_unpack("<QQq" if section.type == RELA else "<QQ", section.content)
    }


def kind_of(name: str, entry: str) -> str:
    """A section's name without this kernel's name, such as `.text` for `.text.triad`; other kernels' names stay."""
    return name.removesuffix(f".{entry}")


def is_constants(kind: str) -> bool:
    """Whether it is a constant bank of this kernel or of all kernels, except the parameters' bank."""
    return kind.startswith(".nv.constant") and kind != ".nv.constant0" and "." not in kind.removeprefix(".nv.")


def relocations(cubin: Cubin, section: Section, entry: str) -> list[tuple[object, ...]]:
    """The location and the target of each relocation in a section, without names that the user chose."""
    result: list[tuple[object, ...]] = []
    for fields in struct.iter_unpack("<QQq" if section.type == RELA else "<QQ", section.content):
        symbol = cubin.symbols[fields[1] >> 32]
        # Undefined symbols are the driver's functions, such as vprintf, and have only a name.
        target = kind_of(cubin.sections[symbol.section].name, entry) if symbol.section else symbol.name
        result.append((fields[0], fields[1] & 0xFFFFFFFF, *fields[2:], target, symbol.value))
    return sorted(result, key=repr)
