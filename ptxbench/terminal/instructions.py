"""The emulator's instruction table for a terminal. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ptxbench.emulator.isa.unsupported import UNSUPPORTED, Missing
from ptxbench.terminal.prose import Prose
from ptxbench.terminal.tables import WIDEST, Section
from ptxbench.wording.instructions import MANUAL, InstructionLine, Lookup


@dataclass(frozen=True)
class Chapters(Section):
    """Chapters of the table; `detailed` adds the choices for each place of a line."""

    chapters: dict[str, list[InstructionLine]]
    detailed: bool

    def parts(self, width: int, plain: bool) -> RenderResult:
        for title, lines in self.chapters.items():
            yield Text.assemble((title, "bold cyan"), (f"  {counted(lines)}", "dim"))
            yield Text()
            section = None
            for line in lines:
                if line.section != section:
                    section = line.section
                    yield Prose(f"  #{section}", "dim")
                yield from self.line(line, width)
            yield Text()

    def line(self, line: InstructionLine, width: int) -> Iterator[Any]:
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        grid.width = width
        grid.add_column(ratio=1)
        grid.add_column(justify="right", no_wrap=True)
        spellings = f"{line.spellings:,} spelling{'s' if line.spellings > 1 else ''}, {class_of(line)}"
        grid.add_row(Prose(f"  {line.syntax}", "bold"), Text(spellings, "dim"))
        yield grid
        if line.summary:
            yield Padding(Prose(line.summary), (0, 2, 0, 6))
        for name, members in line.choices.items() if self.detailed else ():
            yield Padding(Prose(f"{name}: {' '.join(members)}", "dim"), (0, 2, 0, 6))


def class_of(line: InstructionLine) -> str:
    """The class that counts it; TYPE means the instruction's own type."""
    return "by type" if line.counted == "TYPE" else line.counted


def counted(lines: Sequence[InstructionLine]) -> str:
    total = sum(line.spellings for line in lines)
    return f"{len(lines)} line{'s' if len(lines) > 1 else ''}, {total:,} spellings"


@dataclass(frozen=True)
class NotSupported:
    """Instructions of PTX that the emulator does not support."""

    missing: Sequence[Missing] = UNSUPPORTED

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("Not supported", "bold cyan")
        yield Text()
        for family in self.missing:
            yield Padding(Text.assemble((", ".join(family.opcodes), "bold"), f"  {family.what}"), (0, 2, 0, 2))
            yield Padding(Prose(f"{family.reason[0].upper()}{family.reason[1:]}."), (0, 2, 0, 6))


@dataclass(frozen=True)
class Answer:
    """What the table has for one opcode."""

    lookup: Lookup

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.lookup.known:
            yield Text(self.lookup.sentence)
            return
        yield Text.assemble((self.lookup.opcode, "bold cyan"), " is known.")
        for line in self.lookup.lines:
            yield from Chapters({}, True).line(line, min(options.max_width, WIDEST))
            yield Padding(Text(line.chapter, "dim"), (0, 2, 0, 6))
            yield Text(f"{MANUAL}{line.section}", "dim", overflow="fold")
