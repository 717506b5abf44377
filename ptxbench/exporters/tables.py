"""Tables as Markdown, as HTML and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from ptxbench.safe_text import csv_text, markdown_code, markdown_text, xml_text
from ptxbench.units import ABSENT
from ptxbench.wording.table import Column, StyledText, Table, entry


def markdown_lines(table: Table) -> Iterator[str]:
    """The table of GitHub's Markdown, with its notes as a list below it."""
    yield markdown_row(map(markdown_heading, table.columns))
    yield f"|{'|'.join('--:' if column.right else ':--' for column in table.columns)}|"
    for row in table.rows:
        yield markdown_row(markdown_entry(entry(text)) for text in row)
    if table.notes:
        yield ""
        yield from (f"- {markdown_text(note)}" for note in table.notes)


def markdown_row(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def markdown_heading(column: Column) -> str:
    heading = f"{column.heading} ({column.unit})" if column.unit else column.heading
    return markdown_code(heading) if column.code else markdown_text(heading)


def markdown_entry(cell: StyledText) -> str:
    text = markdown_code(cell) if cell.code else cell if cell == ABSENT else markdown_text(cell)
    return f"**{text}**" if cell.strong else f"**{cell.mark.ascii}** {text}" if cell.mark else text


def html_table(table: Table) -> Iterator[str]:
    """The table as HTML without any style but the alignment of numbers, with its notes below it."""
    yield "<table>"
    yield f"<thead><tr>{''.join(map(html_heading, table.columns))}</tr></thead>"
    yield "<tbody>"
    for row in table.rows:
        cells = zip(table.columns, map(entry, row), strict=True)
        yield f"<tr>{''.join(html_entry(column, cell) for column, cell in cells)}</tr>"
    yield "</tbody>"
    yield "</table>"
    yield from (f"<p>{xml_text(note)}</p>" for note in table.notes)


def html_heading(column: Column) -> str:
    unit = f"<br><small>{xml_text(column.unit)}</small>" if column.unit else ""
    return f"<th{aligned(column)}>{xml_text(column.heading)}{unit}</th>"


def html_entry(column: Column, cell: StyledText) -> str:
    text = f"<code>{xml_text(cell)}</code>" if cell.code else xml_text(cell)
    text = f"<b>{text}</b>" if cell.strong else f"{xml_text(cell.mark.symbol)} {text}" if cell.mark else text
    below = f"<br><small>{xml_text(cell.below)}</small>" if cell.below else ""
    return f"<td{aligned(column)}>{text}{below}</td>"


def aligned(column: Column) -> str:
    return f' style="text-align: {"right" if column.right else "left"}"'


def csv_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows in base units for spreadsheets: a value that does not exist is an empty field, and no text is a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows([field(value) for value in row] for row in rows)
    return text.getvalue()


def field(value: object) -> object:
    return value if value is None or isinstance(value, int | float) else csv_text(str(value))
