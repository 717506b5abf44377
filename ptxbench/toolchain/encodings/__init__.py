"""SASS as nvdisasm prints it, from tables, without a start of nvdisasm: that takes 0.2 s of the processor.

The tables are text files next to this module, one for each family of architectures. `tools/learn_encodings.py` makes
them and compares what they print with what nvdisasm prints. docs/executed.md describes them. If not every bit of an
instruction is in a table, it has no text here, and nvdisasm prints its whole kernel.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ptxbench.architecture import suffix
from ptxbench.toolchain.cubin import INSTRUCTION_BYTES
from ptxbench.toolchain.fields import (
    DISTANCES,
    FIELDS,
    GUARD,
    GUARD_LOW,
    OPCODE,
    REUSE,
    SCHEDULING,
    UNGUARDED,
    YIELD,
    Field,
)

FOLDER = Path(__file__).parent

PRINTED = SCHEDULING | GUARD | sum(REUSE.values())
"""The bits that do not belong to a row of a table."""


@dataclass(frozen=True)
class Opcode:
    """An opcode in a table: its fields, and the texts of its forms.

    `guard`: P or UP, the kind of the predicate before it. `texts`: by the instruction without guard and scheduling,
    with the canonical value in each field that has a plain one; such a field is printed in place of its name in the
    text.
    """

    guard: str
    fields: tuple[Field, ...]
    texts: Mapping[int, str]

    def text(self, word: int, address: int, end: int) -> str | None:
        """The text of an instruction, in code that ends at `end`; None if the table does not have it."""
        key = word & ~PRINTED | UNGUARDED
        values = {}
        for field in self.fields:
            value = field.value(word)
            if field.plain(value):
                if field.letter in DISTANCES and not 0 <= field.target(value, address) < end:
                    return None
                key = field.put(key, field.canonical)
                values[field.name] = field.show(value, address)
        template = self.texts.get(key)
        if template is None:
            return None
        for mark, bit in REUSE.items():
            if word & bit and f"{{{mark}}}" not in template:
                return None
            values[mark] = ".reuse" if word & bit and word & YIELD else ""
        return (guard(word, self.guard) + template.format_map(values)).rstrip()


def guard(word: int, kind: str) -> str:
    """The predicate before an instruction."""
    number, negated = word >> GUARD_LOW & 7, word >> GUARD_LOW & 8
    if number == 7 and not negated:
        return ""
    return f"@{'!' if negated else ''}{kind}{'T' if number == 7 else number} "


@dataclass(frozen=True)
class Encodings:
    """A table. `version`: of the nvdisasm whose texts it has."""

    version: str
    opcodes: Mapping[int, Opcode]

    def texts(self, code: bytes) -> list[str] | None:
        """The text of each instruction of machine code; None if the table lacks one of them."""
        result = []
        for number, (low, high) in enumerate(struct.iter_unpack("<QQ", code)):
            word = high << 64 | low
            opcode = self.opcodes.get(word & OPCODE)
            text = opcode.text(word, number * INSTRUCTION_BYTES, len(code)) if opcode else None
            if text is None:
                return None
            result.append(text)
        return result


def texts(code: bytes, arch: str, version: str) -> list[str] | None:
    """What nvdisasm of this version prints for each instruction of machine code; None if no table has all of them."""
    table = encodings(arch)
    return table.texts(code) if table is not None and table.version == version else None


def encodings(arch: str) -> Encodings | None:
    """The table for an architecture; None if there is none."""
    family = FAMILIES.get(arch.removesuffix(suffix(arch)))
    return read(family) if family else None


FAMILIES = {
    "sm_75": "sm_75",
    **dict.fromkeys(("sm_80", "sm_86", "sm_87", "sm_88", "sm_89"), "sm_80"),
    "sm_90": "sm_90",
    **dict.fromkeys(("sm_100", "sm_103", "sm_110"), "sm_100"),
    **dict.fromkeys(("sm_120", "sm_121"), "sm_120"),
}
"""The table of each architecture."""


@functools.cache
def read(family: str) -> Encodings:
    """The table of that name, as `written` wrote it."""
    version = ""
    opcodes: dict[int, Opcode] = {}
    texts: dict[int, str] = {}
    for line in (FOLDER / f"{family}.txt").read_text(encoding="ascii").splitlines():
        if line.startswith("nvdisasm "):
            version = line.removeprefix("nvdisasm ")
        elif line.startswith("opcode "):
            _, number, kind, *names = line.split()
            texts = {}
            opcodes[int(number, 16)] = Opcode(kind, tuple(FIELDS[name] for name in names), texts)
        elif line and not line.startswith("#"):
            key, _, text = line.strip().partition(" ")
            texts[int(key, 16)] = text
    return Encodings(version, opcodes)


def written(table: Encodings, heading: str) -> str:
    """The file of a table."""
    lines = [*(f"# {line}" for line in heading.splitlines()), f"nvdisasm {table.version}"]
    for number, opcode in sorted(table.opcodes.items()):
        lines.append(" ".join([f"opcode {number:03x} {opcode.guard}", *(field.name for field in opcode.fields)]))
        lines += [f"{key:x} {text}" for key, text in sorted(opcode.texts.items())]
    return "\n".join(lines) + "\n"
