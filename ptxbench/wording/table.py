"""A table as data: headings, rows and notes. `terminal.tables` draws it, `exporters.tables` writes it as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Width = Literal["whole", "fold"]
"""What a narrow terminal may do with the texts of a column: nothing, or break them into lines."""


@dataclass(frozen=True)
class Mark:
    """A character before a text, its replacement in ASCII, and its style."""

    symbol: str
    ascii: str
    style: str


class StyledText(str):
    """A text of a row and its format. A plain string has the usual format.

    `style`: in a terminal. `below`: a second line, dim in a terminal. `code` and `strong`: in Markdown.
    """

    style: str
    below: str
    mark: Mark | None
    code: bool
    strong: bool

    def __new__(
        cls, text: str, style: str = "", *, below: str = "", mark: Mark | None = None,
        code: bool = False, strong: bool = False,
    ) -> StyledText:  # fmt: skip
        self = super().__new__(cls, text)
        self.style, self.below, self.mark, self.code, self.strong = style, below, mark, code, strong
        return self


@dataclass(frozen=True)
class Column:
    """`unit` is below the heading in a terminal, where "" is an empty line, and after it elsewhere."""

    heading: str
    unit: str | None = None
    right: bool = False
    width: Width = "whole"
    style: str = ""
    code: bool = False


@dataclass(frozen=True)
class Table:
    """Headings, rows with the same number of texts, and sentences below them.

    `keys`: how many of the first columns say what a row is about. If a terminal is too narrow for one table, each part
    begins with them.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    keys: int = 1


def texts(*headings: str, width: Width = "whole") -> list[Column]:
    """Columns of text, aligned left."""
    return [Column(heading, width=width) for heading in headings]


def numbers(*headings: str) -> list[Column]:
    """Columns of numbers, aligned right."""
    return [Column(heading, right=True) for heading in headings]


def entry(text: str) -> StyledText:
    return text if isinstance(text, StyledText) else StyledText(text)
