"""Cells as tables for a terminal. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.constrain import Constrain
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ptxbench import units
from ptxbench.metrics import BY_NAME, Metric
from ptxbench.result import (
    BITS_DIFFER,
    BROKEN,
    SKIPPED,
    UNSUPPORTED,
    VERIFIED,
    WRONG,
    Cell,
    VariantResult,
)
from ptxbench.wording.cells import any_value, column, conditions, default_columns, first_finding, says_something
from ptxbench.wording.findings import open_counts, problems, remarks
from ptxbench.wording.limits import limits_words

WIDEST = 100
"""Columns of text: a table that a mail or an issue can hold."""

DISPENSABLE = ("bandwidth", "occupancy", "registers", "spills", "share", "ptx_shared_conflicts")
"""What a narrow terminal goes without, the first first; those that are 0 in every row before the others."""

MARKS = {VERIFIED: ("✔", "ok", "green"), WRONG: ("✘", "x", "bold red"), BROKEN: ("✘", "x", "bold red"),
         UNSUPPORTED: ("?", "?", "yellow"), SKIPPED: ("-", "-", "dim")}  # fmt: skip
"""The mark of each status, the same in ASCII, and its style."""

ROWS = {WRONG: "red", BROKEN: "red", UNSUPPORTED: "dim", SKIPPED: "dim"}
"""The style of a whole row: what has no result stands back."""


@dataclass(frozen=True)
class CellTable:
    """One cell: a heading, a row a variant, the first finding, and why each variant that was not verified was not.

    `columns`: the metrics to show; by default those that matter, as far as the width goes.
    """

    cell: Cell
    columns: Sequence[Metric] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDEST)

        def fits(columns: Sequence[Metric]) -> bool:
            unbounded = options.update(width=100 * WIDEST)
            return Measurement.get(console, unbounded, build(self.cell, columns, options.ascii_only)).maximum <= width

        yield heading(self.cell)
        for page in pages(self.columns or affordable(self.cell, fits), fits):
            yield Text()
            yield build(self.cell, page, options.ascii_only)
        yield Text()
        if found := first_finding(self.cell):
            yield Constrain(Text(f"why  {found.line}", style="dim", no_wrap=True, overflow="ellipsis"), width)
            yield Text()
        lines = [
            (mark(each.status, options.ascii_only), MARKS[each.status][2], str(each)) for each in problems(self.cell)
        ]
        lines += [("!", "yellow", each) for each in remarks(self.cell)]
        executed = {name: result.executed for name, result in self.cell.variants.items()}
        lines += [("i", "dim", each) for each in open_counts(executed)]
        if self.cell.limits and any(metric.tag for metric in self.columns):
            lines.append(("i", "dim", limits_words(self.cell.limits)))
        if lines:
            yield Constrain(paragraphs(lines), width)
            yield Text()


Fits = Callable[[Sequence[Metric]], bool]


def affordable(cell: Cell, fits: Fits) -> list[Metric]:
    """The default columns of the cell that there is room for."""
    columns = [metric for metric in default_columns(cell) if says_something(metric, cell)]
    idle = [name for name in DISPENSABLE if not any_value(BY_NAME[name], cell)]
    for name in dict.fromkeys((*idle, *DISPENSABLE)):
        if fits(columns):
            break
        columns = [metric for metric in columns if metric.name != name]
    return columns


def pages(columns: Sequence[Metric], fits: Fits) -> list[list[Metric]]:
    """The columns in as many tables as they need: a number that is cut off would be another number."""
    found: list[list[Metric]] = [[]]
    for metric in columns:
        if found[-1] and not fits([*found[-1], metric]):
            found.append([])
        found[-1].append(metric)
    return found


def heading(cell: Cell) -> Text:
    """The pair, its size, where it ran, and what was noticed of it."""
    size = "  ".join(f"{name}={value:,}" for name, value in cell.point.items())
    place = f"  {conditions(cell)}"
    labels = "  ".join(label for label in cell.labels if not label.startswith(BITS_DIFFER))  # which a finding tells
    return Text.assemble((cell.pair, "bold cyan"), "  ", size, (place, "dim"), (labels and f"  {labels}", "yellow"))


def paragraphs(lines: Iterable[tuple[str, str, str]]) -> Table:
    """Mark, its style and text: one paragraph each, its mark before it. A long word goes on in the next line: of a
    command that is to be copied nothing may be cut off.
    """
    grid = Table.grid(padding=(0, 1))
    for mark, style, text in lines:
        grid.add_row(Text(mark, style), Text(text, overflow="fold"))
    return grid


def build(cell: Cell, columns: Sequence[Metric], plain: bool) -> Table:
    """The table itself: numbers right-aligned under their unit."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("variant", no_wrap=True)
    table.add_column(headed("verified", "max error"), no_wrap=True)
    texts = []
    for metric in columns:
        unit, numbers = column(metric, cell)
        table.add_column(headed(metric.heading, unit), justify="right", no_wrap=True)
        texts.append(numbers)
    for row, (name, result) in enumerate(cell.variants.items()):
        cells = [column[row] for column in texts]
        table.add_row(name, verdict(result, plain), *cells, style=ROWS.get(result.status, ""))
    return table


def headed(heading: str, below: str) -> Text:
    """The heading of a column, with its unit or the like in a line below."""
    return Text.assemble(f"{heading}\n", (below, "dim"))


def verdict(result: VariantResult, plain: bool) -> Text:
    """`✔ 1.2e-07`, `✔ exact`, `✘ wrong`."""
    _, _, style = MARKS[result.status]
    word = result.status
    if result.status == VERIFIED and result.check:
        error = result.check.max_error
        word = "exact" if error == 0 else units.error(error)
    return Text.assemble((mark(result.status, plain), style), " ", word)


def mark(status: str, plain: bool) -> str:
    return MARKS[status][1 if plain else 0]
