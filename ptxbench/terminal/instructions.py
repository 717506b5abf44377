"""The emulator's instruction table for a terminal, and as JSON. Prints nothing."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ptxbench.emulator.isa import CHAPTERS, TABLE, nearest
from ptxbench.emulator.isa.table import Pattern
from ptxbench.emulator.isa.unsupported import UNSUPPORTED, Missing, why
from ptxbench.errors import UsageError, suggestion
from ptxbench.terminal.tables import WIDEST

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
    """The choices for each named place: `type` -> u32, s32."""

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
        same = merged.get(line.key)
        merged[line.key] = merge(same, line) if same else line
    return list(merged.values())


def merge(one: InstructionLine, other: InstructionLine) -> InstructionLine:
    """Two lines of one syntax, merged."""
    names = dict.fromkeys((*one.choices, *other.choices))
    return replace(
        one,
        spellings=one.spellings + other.spellings,
        summary=one.summary or other.summary,
        choices={
            name: tuple(dict.fromkeys((*one.choices.get(name, ()), *other.choices.get(name, ())))) for name in names
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
    chosen = {title: of for title, of in result.items() if wanted.lower() in title.lower()}
    if not chosen:
        if any(opcode.split(".")[0] == wanted.split(".")[0] for opcode in TABLE):
            raise UsageError(f"'{wanted}' is an instruction, not a chapter. Use --opcode, with all its modifiers.")
        words = sorted({word for title in result for word in re.findall(r"[A-Za-z]{3,}", title)})
        text = suggestion(wanted, words) or f" Chapters are: {'; '.join(result)}."
        raise UsageError(f"There is no chapter '{wanted}'.{text}")
    return chosen


@dataclass(frozen=True)
class Chapters:
    """Chapters of the table; `detailed` adds the choices for each place of a line."""

    chapters: dict[str, list[InstructionLine]]
    detailed: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDEST)
        for title, of in self.chapters.items():
            yield Text.assemble((title, "bold cyan"), (f"  {counted(of)}", "dim"))
            yield Text()
            section = None
            for line in of:
                if line.section != section:
                    section = line.section
                    yield Text(f"  #{section}", "dim", no_wrap=True, overflow="ellipsis")
                yield from self.line(line, width)
            yield Text()

    def line(self, line: InstructionLine, width: int) -> Iterator[Any]:
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        grid.width = width
        grid.add_column(ratio=1)
        grid.add_column(justify="right", no_wrap=True)
        spellings = f"{line.spellings:,} spelling{'s' if line.spellings > 1 else ''}, {class_of(line)}"
        grid.add_row(Text(f"  {line.syntax}", "bold"), Text(spellings, "dim"))
        yield grid
        if line.summary:
            yield Padding(Text(line.summary), (0, 2, 0, 6))
        for name, members in line.choices.items() if self.detailed else ():
            yield Padding(Text(f"{name}: {' '.join(members)}", "dim"), (0, 2, 0, 6))


def class_of(line: InstructionLine) -> str:
    """The class that counts it; TYPE means the instruction's own type."""
    return "by type" if line.counted == "TYPE" else line.counted


def counted(of: Sequence[InstructionLine]) -> str:
    total = sum(line.spellings for line in of)
    return f"{len(of)} line{'s' if len(of) > 1 else ''}, {total:,} spellings"


@dataclass(frozen=True)
class NotSupported:
    """Instructions of PTX that the emulator does not support."""

    missing: Sequence[Missing] = UNSUPPORTED

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("Not supported", "bold cyan")
        yield Text()
        for each in self.missing:
            yield Padding(Text.assemble((", ".join(each.opcodes), "bold"), f"  {each.what}"), (0, 2, 0, 2))
            yield Padding(Text(f"{each.reason[0].upper()}{each.reason[1:]}."), (0, 2, 0, 6))


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

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.known:
            yield Text(self.sentence())
            return
        yield Text.assemble((self.opcode, "bold cyan"), " is known.")
        for line in self.lines:
            yield from Chapters({}, True).line(line, min(options.max_width, WIDEST))
            yield Padding(Text(line.chapter, "dim"), (0, 2, 0, 6))
            yield Text(f"{MANUAL}{line.section}", "dim", overflow="fold")

    def sentence(self) -> str:
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
    patterns = [each for each in TABLE.patterns[tokens[0]] if any(True for _ in each.readings(tokens))]
    return Lookup(opcode, tuple({line.key: line for line in map(describe, patterns)}.values()), (), None)


SCHEMA, OPCODE_SCHEMA = "ptxbench.isa/1", "ptxbench.opcode/1"


def to_document(chapters: dict[str, list[InstructionLine]]) -> dict[str, Any]:
    """The table as JSON."""
    return {
        "schema": SCHEMA,
        "chapters": [{"title": title, "lines": [line_document(line) for line in of]} for title, of in chapters.items()],
        "unsupported": [missing_document(each) for each in UNSUPPORTED],
    }


def answer_document(answer: Lookup) -> dict[str, Any]:
    return {
        "schema": OPCODE_SCHEMA,
        "opcode": answer.opcode,
        "known": answer.known,
        "lines": [line_document(line) for line in answer.lines],
        "nearest": list(answer.nearest),
        "unsupported": missing_document(answer.missing) if answer.missing else None,
    }


def line_document(line: InstructionLine) -> dict[str, Any]:
    return {
        "syntax": line.syntax,
        "spellings": line.spellings,
        "counted": line.counted,
        "section": MANUAL + line.section,
        "summary": line.summary,
        "choices": {name: list(members) for name, members in line.choices.items()},
    }


def missing_document(missing: Missing) -> dict[str, Any]:
    return {"what": missing.what, "opcodes": list(missing.opcodes), "reason": missing.reason}
