"""Series of runs for a terminal: a line of bars each, and the runs at which they step. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from rich.console import Console, ConsoleOptions, RenderResult
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from ptxbench import units
from ptxbench.judge.history import Series
from ptxbench.terminal.comparison import simple_table
from ptxbench.terminal.table import WIDEST, paragraphs
from ptxbench.wording.history import footer, has_changed, series_size, span, step_lines
from ptxbench.wording.sparkline import sparkline

LONGEST, SHORTEST = 40, 10
"""Characters of a line of bars."""


@dataclass(frozen=True)
class HistoryTable:
    """Every series, by device, with its steps in words; `quiet`: of exact ones only those that ever changed."""

    series: Sequence[Series]
    unjudged: int
    quiet: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, plain = min(options.max_width, WIDEST), options.ascii_only
        for device, group in groupby(self.series, key=lambda series: series.place.device):
            of_device = list(group)
            visible = [series for series in of_device if has_changed(series) or not self.quiet]
            yield Text(f"{device}  {span(of_device)}", "bold")
            yield Text()
            if visible:
                yield Constrain(table(visible, bars_width(width), plain), width)
                yield Text()
            if unchanged := len(of_device) - len(visible):
                counts = "count is" if unchanged == 1 else "counts are"
                sentence = f"{unchanged:,} {counts} the same in every run; name a PAIR to see them."
                yield Constrain(Text(sentence, "dim"), width)
                yield Text()
            if lines := [(date, "", words) for date, words in step_lines(visible)]:
                yield Constrain(paragraphs(lines), width)
                yield Text()
        yield Constrain(Text("\n".join(footer(self.unjudged)), "dim"), width)


def bars_width(width: int) -> int:
    """What a table leaves: names, and three numbers with a unit."""
    return max(SHORTEST, min(LONGEST, width - 56))


def table(series: Sequence[Series], room: int, plain: bool) -> Table:
    """Two lines a series: variant, bars, numbers; size, which metric of how many runs. A variant is named once."""
    made = simple_table()
    made.add_column("variant", overflow="fold")
    made.add_column("history", overflow="fold")
    for heading in ("first", "median", "last"):
        made.add_column(heading, justify="right", no_wrap=True)
    made.add_column("")
    named = ""
    for each in series:
        place = each.place
        variant, size = f"{place.pair} {place.variant}\n", series_size(each)
        again, named = named == variant + size, variant + size
        unit, numbers = units.column([each.values[0], each.median, each.values[-1]], place.metric.unit)
        count = f"{len(each.points):,} run{'s' * (len(each.points) != 1)}"
        made.add_row(
            Text("") if again else Text.assemble(variant, (size, "dim")),
            Text.assemble(
                f"{sparkline(condensed(each.values, room), plain)}\n", (f"{place.metric.name}, {count}", "dim")
            ),
            *numbers,
            unit,
        )
    return made


def condensed(values: Sequence[float], room: int) -> list[float]:
    """At most `room` values: the medians of as many stretches, of one length but for rounding."""
    if len(values) <= room:
        return list(values)
    ends = [round(i * len(values) / room) for i in range(room + 1)]
    return [median(values[start:end]) for start, end in pairwise(ends)]
