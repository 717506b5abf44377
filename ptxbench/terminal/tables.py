"""Tables and paragraphs for Rich."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from ptxbench.terminal.prose import Prose
from ptxbench.wording.table import Column, Entry, Mark, Table, entry

WIDEST = 100
"""Columns of text: the width of a table that fits in a mail or an issue."""


def draw(table: Table, *, plain: bool = False, ruled: bool = True, gap: int = 1) -> RichTable:
    """The table. `plain`: marks in ASCII. `ruled`: a line below the headings. `gap`: columns between texts."""
    drawn = RichTable(
        box=box.SIMPLE_HEAD if ruled else None,
        show_edge=False,
        pad_edge=False,
        padding=(0, gap, 0, 0 if ruled else gap),
        header_style="bold",
        show_header=any(column.heading for column in table.columns),
        caption="\n".join(table.notes) or None,
        caption_justify="left",
        caption_style="dim",
    )
    for column in table.columns:
        drawn.add_column(
            heading(column),
            justify="right" if column.right else "left",
            no_wrap=column.width == "whole",
            overflow="fold" if column.width == "fold" else "ellipsis",
        )
    for row in table.rows:
        drawn.add_row(*(text_of(entry(text), column, plain) for text, column in zip(row, table.columns, strict=True)))
    return drawn


def heading(column: Column) -> Text:
    """The heading of a column, with its unit or similar in a line below."""
    if column.unit is None:
        return Text(column.heading, column.style)
    return Text.assemble(f"{column.heading}\n", (column.unit, "dim"))


def text_of(one: Entry, column: Column, plain: bool) -> Text:
    text = Text(str(one), one.style)
    if one.mark:
        text = Text.assemble((symbol(one.mark, plain), one.mark.style), " ", text)
    if one.below:
        text = Text.assemble(text, "\n", (one.below, "dim"))
    if column.width == "cut":  # only its column becomes narrower
        text.no_wrap, text.overflow = True, "ellipsis"
    return text


def symbol(mark: Mark, plain: bool) -> str:
    return mark.ascii if plain else mark.symbol


def paragraphs(lines: Iterable[tuple[str, str, str]]) -> RichTable:
    """Mark, its style and text: one paragraph each, its mark before it."""
    grid = RichTable.grid(padding=(0, 1))
    for mark, style, text in lines:
        grid.add_row(Text(mark, style), Prose(text))
    return grid
