"""Tables and paragraphs for Rich. No text of a table is cut: it wraps, or the table is split into several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.constrain import Constrain
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from ptxbench.terminal.fitting import ColumnNeed, Page, pages
from ptxbench.terminal.prose import Prose, least_width, wrapped
from ptxbench.wording.table import Column, Mark, StyledText, Table, entry

WIDEST = 100
"""Columns of text: the width of a table that fits in a mail or an issue."""


class Section(ABC):
    """What is printed in at most WIDEST columns."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return self.parts(min(options.max_width, WIDEST), options.ascii_only)

    @abstractmethod
    def parts(self, width: int, plain: bool) -> RenderResult:
        """What to print, one below the other, in `width` columns. `plain`: in ASCII."""


@dataclass(frozen=True)
class DrawnTable:
    """A table at the width of the terminal. If its columns do not fit, it continues below with its first columns.

    `plain`: marks in ASCII. `ruled`: a line below the headings. `gap`: columns between texts.
    """

    table: Table
    plain: bool = False
    ruled: bool = True
    gap: int = 1

    @property
    def between(self) -> int:
        """Columns between two texts: a blank of the box and the padding."""
        return self.gap + 1 if self.ruled else 2 * self.gap

    def needs(self) -> list[ColumnNeed]:
        result = []
        for i, column in enumerate(self.table.columns):
            texts = [heading(column).plain, *(self.text(entry(row[i]), column).plain for row in self.table.rows)]
            most = max(cell_len(line) for text in texts for line in text.split("\n"))
            result.append(ColumnNeed(most if column.width == "whole" else max(map(least_width, texts)), most))
        return result

    def text(self, styled: StyledText, column: Column, width: int | None = None) -> Text:
        """A text of a row, in lines of that width if it may wrap."""
        words = str(styled)
        if width is not None and column.width == "fold":
            words = "\n".join(wrapped(words, max(width - 2 * bool(styled.mark), 1)))
        text = Text(words, styled.style)
        if styled.mark:
            text = Text.assemble((symbol(styled.mark, self.plain), styled.mark.style), " ", text)
        if styled.below:
            text = Text.assemble(text, "\n", (styled.below, "dim"))
        return text

    def part(self, page: Page) -> RichTable:
        """The columns of a page as a table of Rich."""
        drawn = RichTable(
            box=box.SIMPLE_HEAD if self.ruled else None,
            show_edge=False,
            pad_edge=False,
            padding=(0, self.gap, 0, 0 if self.ruled else self.gap),
            header_style="bold",
            show_header=any(column.heading for column in self.table.columns),
        )
        columns = [self.table.columns[i] for i in page.columns]
        for column, width in zip(columns, page.widths, strict=True):
            justify = "right" if column.right else "left"
            drawn.add_column(heading(column), justify=justify, width=width, overflow="fold")  # type: ignore[arg-type]
        for row in self.table.rows:
            texts = [entry(row[i]) for i in page.columns]
            drawn.add_row(*map(self.text, texts, columns, page.widths))
        return drawn

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for i, page in enumerate(pages(self.needs(), options.max_width, self.between, self.table.keys)):
            if i:
                yield Text()
            yield self.part(page)
        for note in self.table.notes:
            yield Constrain(Prose(note, "dim"), WIDEST)

    @property
    def natural_width(self) -> int:
        """The width at which no text wraps."""
        needs = self.needs()
        return sum(need.most for need in needs) + self.between * (len(needs) - 1)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.natural_width, self.natural_width)


def draw(table: Table, *, plain: bool = False, ruled: bool = True, gap: int = 1) -> DrawnTable:
    return DrawnTable(table, plain, ruled, gap)


def heading(column: Column) -> Text:
    """The heading of a column, with its unit or similar in a line below."""
    if column.unit is None:
        return Text(column.heading, column.style)
    return Text.assemble(f"{column.heading}\n", (column.unit, "dim"))


def symbol(mark: Mark, plain: bool) -> str:
    return mark.ascii if plain else mark.symbol


def paragraphs(lines: Iterable[tuple[str, str, str]]) -> RichTable:
    """Mark, its style and text: one paragraph each, its mark before it."""
    grid = RichTable.grid(padding=(0, 1))
    for mark, style, text in lines:
        grid.add_row(Text(mark, style), Prose(text))
    return grid
