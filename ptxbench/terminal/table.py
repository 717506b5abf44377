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
from ptxbench.listing.explanation import EXECUTED, SAME_CODE, SAME_MIX, Explanation, of_cell, verified
from ptxbench.metrics import BY_NAME, REFERENCE, Metric, choose
from ptxbench.result import (
    BITS_DIFFER,
    BROKEN,
    COLD,
    SKIPPED,
    UNSUPPORTED,
    VERIFIED,
    WRONG,
    Cell,
    LaunchReport,
    VariantResult,
)
from ptxbench.wording.findings import open_counts, problems, remarks
from ptxbench.wording.limits import limits_words

WIDEST = 100
"""Columns of text: a table that a mail or an issue can hold."""

BUILT = ("registers", "spills", "sass", "occupancy")
TIMED = ("time", "ratio", "share", "bandwidth", *BUILT)
COUNTED = ("sass_executed", "sass_executed_ratio", "ptx_global_sectors", "ptx_shared_conflicts", *BUILT)
UNDERIVED = ("ptx_warp_instructions", "ptx_instructions_ratio", *COUNTED[2:])
"""The columns of a table unless others are chosen: what was measured, and the counts that explain it."""

DISPENSABLE = ("bandwidth", "occupancy", "registers", "spills", "share", "ptx_shared_conflicts")
"""What a narrow terminal goes without, the first first; those that are 0 in every row before the others."""

PTX = "ptx"
"""The variant that is the pair's own PTX."""

TOLD = (SAME_CODE, SAME_MIX, EXECUTED)
"""Kinds of findings that stand elsewhere: below the tables in words, and in a column."""

MARKS = {VERIFIED: ("✔", "ok", "green"), WRONG: ("✘", "x", "bold red"), BROKEN: ("✘", "x", "bold red"),
         UNSUPPORTED: ("?", "?", "yellow"), SKIPPED: ("-", "-", "dim")}  # fmt: skip
"""The mark of each status, the same in ASCII, and its style."""

ROWS = {WRONG: "red", BROKEN: "red", UNSUPPORTED: "dim", SKIPPED: "dim"}
"""The style of a whole row: what has no result stands back."""


def default_columns(cell: Cell) -> tuple[Metric, ...]:
    """What a table of this cell shows: times or counts, whichever there are, and what the tools say of the builds."""
    if cell.rounds:
        return choose(TIMED)
    if all(result.counts is None for result in cell.variants.values()):
        return choose(BUILT)
    # of PTX alone where no machine code was made, and in runs of before
    return choose(COUNTED if any(result.executed is not None for result in cell.variants.values()) else UNDERIVED)


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


def first_finding(cell: Cell) -> Explanation | None:
    """What the pair's PTX has unlike its CUDA C, the most important that neither the table nor its sentence says."""
    if not (verified(cell, REFERENCE) and verified(cell, PTX)):
        return None
    return next((each for each in of_cell(cell, PTX) if each.kind not in TOLD), None)


Fits = Callable[[Sequence[Metric]], bool]


def affordable(cell: Cell, fits: Fits) -> list[Metric]:
    """The default columns of the cell that there is room for."""
    columns = [metric for metric in default_columns(cell) if tells(metric, cell)]
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


def tells(metric: Metric, cell: Cell) -> bool:
    """False for what is no column of every table, where it says nothing: no conflicts at all, no known limit."""
    return metric.name not in ("ptx_shared_conflicts", "share") or any_value(metric, cell)


def any_value(metric: Metric, cell: Cell) -> bool:
    """True if the metric is there, and not 0, for any variant."""
    return any(metric.of(cell, name) for name in cell.variants)


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


def conditions(cell: Cell, times: str = " x ") -> str:
    """`sm_90, grid 4 x 2, block 256`, and `warm L2` of launches that find their data there."""
    warm = "" if cell.cache == COLD else f", {cell.cache} L2"
    return f"{cell.arch}, {launch_words(cell.launch, times)}{warm}"


def launch_words(launch: LaunchReport, times: str = " x ") -> str:
    """`grid 4 x 2, block 256`, and the cluster and "cooperative" of a launch that has them."""
    extents = {"grid": launch.grid, "block": launch.block, "cluster": launch.cluster}
    words = [f"{name} {times.join(map(str, trimmed(each)))}" for name, each in extents.items() if each is not None]
    return ", ".join([*words, "cooperative"] if launch.cooperative else words)


def trimmed(extent: Iterable[int]) -> list[int]:
    """The extent without its trailing ones."""
    kept = list(extent)
    while len(kept) > 1 and kept[-1] == 1:
        kept.pop()
    return kept


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


def column(metric: Metric, cell: Cell) -> tuple[str, list[str]]:
    """The unit and the texts of a column: each number with its spread, or the range that it lies in: `2.9 - 3.1`."""
    if not metric.bounds:
        unit, numbers = units.column([metric.of(cell, name) for name in cell.variants], metric.unit)
        return unit, with_spread(metric, cell, numbers)
    return range_column(metric, cell)


def range_column(metric: Metric, cell: Cell) -> tuple[str, list[str]]:
    """The unit and the texts of a column of ranges; one number where both ends look the same."""
    values = [metric.of(cell, name) for name in cell.variants]
    ends = [metric.interval(cell, name, result) if metric.interval else None for name, result in cell.variants.items()]
    least = [each[0] if each else value for each, value in zip(ends, values, strict=True)]
    most = [each[1] if each else value for each, value in zip(ends, values, strict=True)]
    return units.ranges([*zip(least, most, strict=True)], metric.unit)


def headed(heading: str, below: str) -> Text:
    """The heading of a column, with its unit or the like in a line below."""
    return Text.assemble(f"{heading}\n", (below, "dim"))


def with_spread(metric: Metric, cell: Cell, numbers: Sequence[str]) -> list[str]:
    """Each number with half the width of its interval, where it has one, or its tag: no difference is bare."""
    shown = []
    for (name, result), number in zip(cell.variants.items(), numbers, strict=True):
        ends = metric.interval(cell, name, result) if metric.interval else None
        tag = metric.tag(cell, result) if metric.tag and number != units.ABSENT else None
        shown.append(f"{number} ±{(ends[1] - ends[0]) / 2:.3f}" if ends else f"{number} {tag}" if tag else number)
    return shown


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
