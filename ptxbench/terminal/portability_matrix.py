"""A portability matrix for a terminal: a row per target, a column per variant. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderResult
from rich.constrain import Constrain
from rich.text import Text

from ptxbench.portability.survey import Matrix
from ptxbench.terminal.prose import Prose
from ptxbench.terminal.tables import DrawnTable, Section, draw, paragraphs
from ptxbench.wording import portability as matrix_words
from ptxbench.wording.table import Mark, StyledText, Table, numbers, texts

FOLDED = 9
"""Columns from which a variant's name is written in two lines, if the table would be too wide."""


@dataclass(frozen=True)
class MatrixTable(Section):
    """One pair: its name, a row per target, why cells are empty, what a driver's JIT needs, and the total."""

    matrix: Matrix
    cell: str = "registers"

    def parts(self, width: int, plain: bool) -> RenderResult:
        rows, notes = matrix_words.table(self.matrix, self.cell)
        names = list(self.matrix.reaches)

        def build(chosen: Sequence[int], *, fold: bool) -> DrawnTable:
            headings = [folded(names[index]) if fold else names[index] for index in chosen]
            entries = [[targets, *(drawn(cells[index]) for index in chosen)] for targets, cells in rows]
            return draw(Table([*texts("target"), *numbers(*headings)], entries), plain=plain)

        def fits(table: DrawnTable) -> bool:
            return table.natural_width <= width

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
        lines += [("!", "yellow", words) for words in matrix_words.warnings(self.matrix)]
        lines += [("i", "dim", words) for words in matrix_words.compiler_lines(self.matrix)]
        lines += [
            ("i", "dim", words)
            for words in (*matrix_words.file_lines(self.matrix), *matrix_words.jit_lines(self.matrix))
        ]
        yield Constrain(paragraphs(lines), width)
        yield Constrain(Prose(matrix_words.closing(self.matrix), "bold"), width)
        yield Text()


def folded(name: str) -> str:
    """`ptx.` above `evict_first` for a long name with a dot or an @ in it."""
    if len(name) < FOLDED:
        return name
    split_at = max(name.find("."), name.rfind("@") - 1) + 1
    return f"{name[:split_at]}\n{name[split_at:]}" if split_at else name


def drawn(cell: matrix_words.CellText) -> StyledText:
    """The value, or a mark and the number of its note."""
    if cell.note is None:
        return StyledText(cell.value)
    mark = Mark("✘", "x", "red") if cell.note.refused else Mark("-", "-", "yellow")
    return StyledText(str(cell.note.number), mark.style, mark=mark)
