"""A comparison of two runs for a terminal. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import RenderResult
from rich.constrain import Constrain
from rich.text import Text

from ptxbench.terminal.forest import NARROWEST, axis_of, bar, ticks
from ptxbench.terminal.prose import Prose
from ptxbench.terminal.tables import DrawnTable, Section, draw, paragraphs
from ptxbench.units import size_words
from ptxbench.verdict import Comparison, Row, verdicts
from ptxbench.wording.judgement import (
    change_words,
    deserves_attention,
    footer,
    header,
    interval_words,
    percent,
    remarks,
    total,
    values,
)
from ptxbench.wording.sparkline import sparkline
from ptxbench.wording.table import Column, StyledText, Table, numbers, texts

STYLES = {
    **dict.fromkeys((verdicts.BROKEN, verdicts.REGRESSED), "bold red"),
    verdicts.BROKEN_BOTH: "red",
    **dict.fromkeys((verdicts.MISSING, verdicts.INCONCLUSIVE), "yellow"),
    **dict.fromkeys((verdicts.NOT_COMPARABLE, verdicts.REFERENCE_CHANGED), "yellow"),
    **dict.fromkeys((verdicts.IMPROVED, verdicts.FIXED), "green"),
    verdicts.SAME_CODE: "dim",
}

WIDEST_PICTURE = 40
GAP = 2
"""Blanks between columns of a table."""


@dataclass(frozen=True)
class ComparisonTable(Section):
    """The differences of two runs, a row for each result that needs attention, and the totals."""

    comparison: Comparison

    def parts(self, width: int, plain: bool) -> RenderResult:
        yield Constrain(Prose("\n".join(header(self.comparison))), width)
        yield Text()
        rows = compared_rows(self.comparison)
        if rows and self.comparison.mode == "counters":
            yield counters(rows, plain)
            yield Text()
        elif rows:
            yield times(self.comparison, rows, plain, width)
            yield Text()
        lines = [(verdict, STYLES.get(verdict, ""), words) for verdict, words in remarks(self.comparison)]
        if lines:
            yield Constrain(paragraphs(lines), width)
            yield Text()
        yield Constrain(Prose(total(self.comparison), "bold"), width)
        yield Constrain(Prose("\n".join(footer(self.comparison)), "dim"), width)


def compared_rows(comparison: Comparison) -> list[Row]:
    """The rows with numbers to compare; rows with equal code, and unchanged counts, are only counted."""
    rows = [row for row in comparison.rows if deserves_attention(row, comparison)]
    return [row for row in rows if row.base is not None and row.head is not None]


def counters(rows: Sequence[Row], plain: bool) -> DrawnTable:
    """One line per row; a variant's rows with the same verdict are together."""
    entries = []
    for _, group in groupby(rows, key=lambda row: (row.verdict, row.pair, row.variant, row.size)):
        first, *others = group
        lines = [[row.metric, *values(row), change_words(row)] for row in (first, *others)]
        entries.append(
            [
                StyledText(first.verdict, STYLES.get(first.verdict, "")),
                StyledText(f"{first.pair} {first.variant}", below=size_words(first.size)),
                *("\n".join(column) for column in zip(*lines, strict=True)),
                StyledText(str(first.moves), "dim"),
            ]
        )
    columns = [*texts("verdict"), *texts("variant", width="fold"), *texts("metric"),
               *numbers("base", "head", "change"), *texts("code", width="fold")]  # fmt: skip
    return draw(Table(columns, entries))


def times(comparison: Comparison, rows: Sequence[Row], plain: bool, width: int) -> DrawnTable:
    """Two lines per row: verdict, values, change and its interval as a picture; cause, size, rounds and interval."""
    budget = comparison.rule.budget
    marks = 1 / (1 + budget), 1 + budget
    changes = [row.change for row in rows if row.change]
    axis = axis_of(changes, budget)
    room = min(width - build(comparison, rows, plain).natural_width - GAP, WIDEST_PICTURE)
    if not changes:
        return build(comparison, rows, plain)
    if room < NARROWEST:
        needed = width - room + NARROWEST
        return build(comparison, rows, plain, note=f"Not drawn in {width} columns: the intervals. They need {needed}.")
    pictures = [
        StyledText(bar(row.change, axis, room, plain, marks) if row.change else "", STYLES.get(row.verdict, ""))
        for row in rows
    ]
    return build(comparison, rows, plain, ticks(axis, room, axis_words), pictures)


def build(
    comparison: Comparison,
    rows: Sequence[Row],
    plain: bool,
    heading: str = "",
    pictures: Sequence[StyledText] = (),
    note: str = "",
) -> DrawnTable:
    columns = [*texts("verdict", "variant", width="fold"), *texts(f"{comparison.mode}, base {arrow(plain)} head"),
               *numbers("change")]  # fmt: skip
    if pictures:
        columns.append(Column(heading, style="dim not bold"))
    entries = [[*two_lines(row, plain), *pictures[i : i + 1]] for i, row in enumerate(rows)]
    return draw(Table(columns, entries, [note] if note else []))


def two_lines(row: Row, plain: bool) -> Iterator[StyledText]:
    """The columns of a row of times."""
    before, after = values(row)
    rounds = [*row.base_rounds, *row.head_rounds]
    lines = [sparkline(ratios, plain, of=rounds) for ratios in (row.base_rounds, row.head_rounds)]
    yield StyledText(row.verdict, STYLES.get(row.verdict, ""), below=str(row.moves))
    yield StyledText(f"{row.pair} {row.variant}", below=size_words(row.size, row.cache))
    yield StyledText(f"{before} {arrow(plain)} {after}", below=f" {arrow(plain)} ".join(lines))
    yield StyledText(change_words(row), below=interval_words(row))


def axis_words(ratio: float) -> str:
    return "0" if ratio == 1 else percent(ratio, 0)


def arrow(plain: bool) -> str:
    return "->" if plain else "→"
