"""A portability matrix for a terminal: a row a target, a column a variant. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.constrain import Constrain
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ptxbench.portability.survey import Matrix
from ptxbench.terminal.comparison import simple_table
from ptxbench.terminal.table import WIDEST, paragraphs
from ptxbench.wording import portability as texts

FOLDED = 9
"""Columns of a variant's name from which on it is written in two lines, if the table is too wide without."""


@dataclass(frozen=True)
class MatrixTable:
    """One pair: its name, a row a target, why cells are empty, what a driver's JIT asks for, and the sum."""

    matrix: Matrix
    cell: str = "registers"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, plain = min(options.max_width, WIDEST), options.ascii_only
        rows, notes = texts.table(self.matrix, self.cell)
        names = list(self.matrix.reaches)

        def build(chosen: Sequence[int], *, fold: bool) -> Table:
            table = simple_table()
            table.add_column("target", no_wrap=True)
            for index in chosen:
                name = names[index]
                table.add_column(folded(name) if fold else name, justify="right", no_wrap=True)
            for targets, cells in rows:
                table.add_row(targets, *(drawn(cells[index], plain) for index in chosen))
            return table

        def fits(table: Table) -> bool:
            return Measurement.get(console, options.update(width=100 * WIDEST), table).maximum <= width

        yield Text(self.matrix.name, "bold cyan")
        yield Text()
        remaining = list(range(len(names)))
        while remaining:
            page, fold = remaining, False
            while not fits(build(page, fold=fold)) and (not fold or len(page) > 1):
                page, fold = (page[:-1], fold) if fold else (page, True)
            yield build(page, fold=fold)
            yield Text()
            remaining = remaining[len(page) :]
        lines = [(str(note.number), "red" if note.refused else "yellow", note.words) for note in notes]
        lines += [("!", "yellow", words) for words in texts.warnings(self.matrix)]
        lines += [("i", "dim", words) for words in (*texts.file_lines(self.matrix), *texts.jit_lines(self.matrix))]
        yield Constrain(paragraphs(lines), width)
        yield Constrain(Text(texts.closing(self.matrix), style="bold"), width)
        yield Text()


def folded(name: str) -> str:
    """`ptx.` over `evict_first` for a long name with a dot or an @ in it."""
    if len(name) < FOLDED:
        return name
    at = max(name.find("."), name.rfind("@") - 1) + 1
    return f"{name[:at]}\n{name[at:]}" if at else name


def drawn(cell: texts.CellText, plain: bool) -> Text:
    """The value, or a mark and the number of its note."""
    if cell.note is None:
        return Text(cell.value)
    if cell.note.refused:
        return Text(f"{'x' if plain else '✘'} {cell.note.number}", "red")
    return Text(f"- {cell.note.number}", "yellow")
