"""The emulator's instruction table as lines in the manual's syntax, and the answer about one opcode."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass, replace

from ptxbench.emulator.isa import CHAPTERS, TABLE, nearest
from ptxbench.emulator.isa.table import Pattern
from ptxbench.emulator.isa.unsupported import Missing, why
from ptxbench.errors import UsageError, suggestion

MANUAL = "https://docs.nvidia.com/cuda/parallel-thread-execution/#"


@dataclass(frozen=True)
class InstructionLine:
    """One line of the table: the manual's syntax, and what the emulator does."""

    syntax: str
    spellings: int
    counted: str
    section: str
    summary: str
    chapter: str
    choices: dict[str, tuple[str, ...]]
    """The choices for each name in the syntax: `type` -> u32, s32."""

    @property
    def key(self) -> tuple[str, ...]:
        """What two lines must share to be shown as one."""
        return self.syntax, self.section, self.counted, self.chapter


def lines() -> list[InstructionLine]:
    """Every line, by chapter in the table's order; lines that differ only in their sets are merged."""
    modules = [chapter.__name__ for chapter in CHAPTERS]
    patterns = list(dict.fromkeys(pattern for group in TABLE.patterns.values() for pattern in group))
    patterns.sort(key=lambda pattern: modules.index(name) if (name := pattern.body.__module__) in modules else -1)
    merged: dict[tuple[str, ...], InstructionLine] = {}
    for line in map(describe, patterns):
        earlier = merged.get(line.key)
        merged[line.key] = merge(earlier, line) if earlier else line
    return list(merged.values())


def merge(line: InstructionLine, other: InstructionLine) -> InstructionLine:
    """Two lines of one syntax, merged."""
    names = dict.fromkeys((*line.choices, *other.choices))
    return replace(
        line,
        spellings=line.spellings + other.spellings,
        summary=line.summary or other.summary,
        choices={
            name: tuple(dict.fromkeys((*line.choices.get(name, ()), *other.choices.get(name, ())))) for name in names
        },
    )


def describe(pattern: Pattern) -> InstructionLine:
    choices = {
        part.name: tuple(".".join(choice) for choice, _ in part.choices if choice)
        for part in pattern.parts
        if part.name and any(value not in (None, True, False) for _, value in part.choices)
    }
    return InstructionLine(
        pattern.syntax,
        math.prod(len(part.choices) for part in pattern.parts),
        pattern.counted,
        pattern.section,
        first_sentence(inspect.getdoc(pattern.body) or ""),
        pattern.chapter,
        choices,
    )


def first_sentence(text: str) -> str:
    paragraph = " ".join(text.split("\n\n")[0].split())
    match = re.match(r".*?[.:](?=\s+[A-Z]|$)", paragraph)
    return match[0] if match else paragraph


def by_chapter(wanted: str | None = None) -> dict[str, list[InstructionLine]]:
    """The lines by title of their chapter, if the title contains `wanted`. Raises UsageError if there are none."""
    result: dict[str, list[InstructionLine]] = {}
    for line in lines():
        result.setdefault(line.chapter, []).append(line)
    if wanted is None:
        return result
    chosen = {title: chapter_lines for title, chapter_lines in result.items() if wanted.lower() in title.lower()}
    if not chosen:
        if any(opcode.split(".")[0] == wanted.split(".")[0] for opcode in TABLE):
            raise UsageError(f"'{wanted}' is an instruction, not a chapter. Use --opcode, with all its modifiers.")
        words = sorted({word for title in result for word in re.findall(r"[A-Za-z]{3,}", title)})
        text = suggestion(wanted, words) or f" Chapters are: {'; '.join(result)}."
        raise UsageError(f"Unknown chapter '{wanted}'.{text}")
    return chosen


@dataclass(frozen=True)
class Lookup:
    """The table's entry for one opcode: its lines, or the nearest ones and why it is missing."""

    opcode: str
    lines: tuple[InstructionLine, ...]
    nearest: tuple[str, ...]
    missing: Missing | None

    @property
    def known(self) -> bool:
        return bool(self.lines)

    @property
    def sentence(self) -> str:
        """Why it is not known."""
        if self.missing:
            return f"'{self.opcode}' is not supported, as are all {self.missing.what}: {self.missing.reason}."
        text = f" Nearest: {', '.join(self.nearest)}." if self.nearest else ""
        return f"Unknown instruction '{self.opcode}'.{text}"


def look_up(opcode: str) -> Lookup:
    """The table's entry for `opcode`."""
    entries = TABLE.get(opcode, ())
    if not entries:
        missing = why(opcode)
        return Lookup(opcode, (), () if missing else tuple(nearest(opcode)), missing)
    tokens = tuple(opcode.split("."))
    patterns = [pattern for pattern in TABLE.patterns[tokens[0]] if any(True for _ in pattern.readings(tokens))]
    return Lookup(opcode, tuple({line.key: line for line in map(describe, patterns)}.values()), (), None)
