"""The widths of a table's columns, and how it is split so that no text is cut. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ROOMY = 20
"""Columns of a terminal that a text gets before it moves to a table of its own: sentences in less are hard to read."""


@dataclass(frozen=True)
class ColumnNeed:
    """The longest text of a column, and the least width at which no word of it is broken. Equal if it must not wrap."""

    least: int
    most: int

    @property
    def roomy(self) -> int:
        return max(self.least, min(self.most, ROOMY))


@dataclass(frozen=True)
class Page:
    """The columns of one table, by their indices, and their widths."""

    columns: tuple[int, ...]
    widths: tuple[int, ...]


def pages(needs: Sequence[ColumnNeed], room: int, gap: int, keys: int = 1) -> list[Page]:
    """The columns in as many tables as they need, each at most `room` wide; each begins with the first `keys` columns.

    `gap`: what is between two columns. A single column that is too wide gets the available width.
    """

    def least(columns: Sequence[int]) -> int:
        return sum(needs[i].roomy for i in columns) + gap * (len(columns) - 1)

    head = list(range(min(keys, len(needs))))
    tables = [list(head)]
    for i in range(len(head), len(needs)):
        if len(tables[-1]) > len(head) and least([*tables[-1], i]) > room:
            tables.append(list(head))
        tables[-1].append(i)
    return [Page(tuple(columns), widths([needs[i] for i in columns], room, gap)) for columns in tables]


def widths(needs: Sequence[ColumnNeed], room: int, gap: int) -> tuple[int, ...]:
    """As wide as the texts are; if that is too much, the widest texts that may wrap become narrower, one by one."""
    chosen = [need.most for need in needs]
    excess = sum(chosen) + gap * (len(needs) - 1) - room
    while excess > 0:
        spare = [i for i, need in enumerate(needs) if chosen[i] > need.least]
        if not spare:
            break
        widest = max(spare, key=lambda i: chosen[i])
        chosen[widest] -= 1
        excess -= 1
    while excess > 0 and max(chosen) > 1:  # words longer than the terminal
        widest = max(range(len(chosen)), key=lambda i: chosen[i])
        chosen[widest] -= 1
        excess -= 1
    return tuple(chosen)
