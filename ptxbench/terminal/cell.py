"""Cells as tables for a terminal. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.constrain import Constrain
from rich.text import Text

from ptxbench import units
from ptxbench.metrics import BY_NAME, Metric
from ptxbench.result import (
    BITS_DIFFER,
    BROKEN,
    MUST_FAIL,
    SKIPPED,
    UNSUPPORTED,
    VERIFIED,
    WRONG,
    Cell,
    VariantResult,
)
from ptxbench.terminal.prose import Prose
from ptxbench.terminal.tables import WIDEST, DrawnTable, draw, paragraphs, symbol
from ptxbench.units import enumeration
from ptxbench.wording.cells import (
    any_value,
    conditions,
    default_columns,
    finding_label,
    first_finding,
    metric_columns,
    own_launches,
    says_something,
)
from ptxbench.wording.findings import compilers, open_counts, problems, remarks
from ptxbench.wording.limits import limits_words
from ptxbench.wording.table import Column, Mark, StyledText, Table

DISPENSABLE = ("bandwidth", "occupancy", "registers", "spills", "share", "ptx_shared_conflicts")
"""The columns that a narrow terminal omits, in this order, but first those with 0 in every row."""

MARKS = {
    VERIFIED: Mark("✔", "ok", "green"),
    WRONG: Mark("✘", "x", "bold red"),
    BROKEN: Mark("✘", "x", "bold red"),
    UNSUPPORTED: Mark("?", "?", "yellow"),
    SKIPPED: Mark("-", "-", "dim"),
    MUST_FAIL: Mark("✔", "ok", "green"),
}

ROWS = {WRONG: "red", BROKEN: "red", UNSUPPORTED: "dim", SKIPPED: "dim", MUST_FAIL: "dim"}
"""The style of a whole row: rows without a result are dim."""


@dataclass(frozen=True)
class CellTable:
    """One cell: a heading, one row per variant, the first finding, and why each variant that was not verified was not.

    `columns`: the metrics to show; by default the important ones, as far as the width allows. `reference`: the row
    that the finding compares with, instead of the best CUDA C.
    """

    cell: Cell
    columns: Sequence[Metric] = ()
    reference: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDEST)
        columns = self.columns or affordable(self.cell, options.max_width)
        yield heading(self.cell)
        yield Text()
        yield build(self.cell, columns, options.ascii_only)
        yield Text()
        if finding := first_finding(self.cell, self.reference):
            yield Constrain(Prose(f"{finding_label(self.cell)}  {finding.line}", "dim"), width)
            yield Text()
        lines = []
        for problem in problems(self.cell):
            mark = MARKS[problem.status]
            lines.append((symbol(mark, options.ascii_only), mark.style, str(problem)))
        lines += [("!", "yellow", remark) for remark in remarks(self.cell)]
        executed = {name: result.executed for name, result in self.cell.variants.items()}
        notes = (*own_launches(self.cell), *compilers(self.cell), *open_counts(executed))
        lines += [("i", "dim", sentence) for sentence in notes]
        if self.cell.limits and any(metric.tag for metric in self.columns):
            lines.append(("i", "dim", limits_words(self.cell.limits)))
        if lines:
            yield Constrain(paragraphs(lines), width)
            yield Text()


def useful_columns(cell: Cell) -> list[Metric]:
    """The default columns with a value for the cell."""
    return [metric for metric in default_columns(cell) if says_something(metric, cell)]


def affordable(cell: Cell, width: int) -> list[Metric]:
    """The default columns of the cell that fit into one table; all of them if it must be split in any case."""
    columns = useful_columns(cell)
    empty_columns = [name for name in DISPENSABLE if not any_value(BY_NAME[name], cell)]
    for name in ("", *dict.fromkeys((*empty_columns, *DISPENSABLE))):
        columns = [metric for metric in columns if metric.name != name]
        if build(cell, columns).natural_width <= width:
            return columns
    return useful_columns(cell)


@dataclass(frozen=True)
class OmittedColumns:
    """Which default columns the tables of a narrow terminal lack, and what shows them."""

    cells: Sequence[Cell]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        missing = {metric for cell in self.cells for metric in {*useful_columns(cell)} - {*affordable(cell, width)}}
        if missing:
            metrics = [metric for metric in BY_NAME.values() if metric in missing]
            headings, names = (
                enumeration([metric.heading for metric in metrics]),
                ",".join(metric.name for metric in metrics),
            )
            text = f"{width} columns have no room for {headings}: use a wider terminal, or --columns {names}."
            yield Constrain(Prose(text, "dim"), min(width, WIDEST))


def heading(cell: Cell) -> Text:
    """The pair, its size, where it ran, and its labels."""
    size = "  ".join(f"{name}={value:,}" for name, value in cell.point.items())
    labels = "  ".join(label for label in cell.labels if not label.startswith(BITS_DIFFER))  # a finding reports that
    return Text.assemble(
        (cell.pair, "bold cyan"), "  ", size, (f"  {conditions(cell)}", "dim"), (labels and f"  {labels}", "yellow")
    )


def build(cell: Cell, metrics: Sequence[Metric], plain: bool = False) -> DrawnTable:
    """The table itself: numbers right-aligned under their unit."""
    columns, numbers = metric_columns(cell, metrics)
    rows = []
    for (name, result), row in zip(cell.variants.items(), numbers, strict=True):
        style = ROWS.get(result.status, "")
        rows.append([StyledText(name, style), verdict(result), *(StyledText(number, style) for number in row)])
    return draw(Table([Column("variant"), Column("verified", "max error"), *columns], rows, keys=2), plain=plain)


def verdict(result: VariantResult) -> StyledText:
    """`✔ 1.2e-07`, `✔ exact`, `✘ wrong`."""
    word = result.status
    if result.status == VERIFIED and result.check:
        error = result.check.max_error
        word = "exact" if error == 0 else units.error(error)
    if result.status == MUST_FAIL:
        word = "must fail"  # short, because it is a column
    return StyledText(word, ROWS.get(result.status, ""), mark=MARKS[result.status])
