"""Series of runs for a terminal: a line of bars each, and the runs at which they step. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from rich.console import RenderResult
from rich.constrain import Constrain
from rich.text import Text

from ptxbench import units
from ptxbench.terminal.prose import Prose
from ptxbench.terminal.tables import DrawnTable, Section, draw, paragraphs
from ptxbench.verdict.history import Series
from ptxbench.wording.history import footer, has_changed, series_size, span, step_lines
from ptxbench.wording.sparkline import sparkline
from ptxbench.wording.table import StyledText, Table, numbers, texts

LONGEST, SHORTEST = 40, 10
"""Characters of a line of bars."""


@dataclass(frozen=True)
class HistoryTable(Section):
    """Every series, by device, with its steps in words; `quiet`: of exact ones only those that ever changed."""

    series: Sequence[Series]
    unjudged: int
    quiet: bool

    def parts(self, width: int, plain: bool) -> RenderResult:
        for device, group in groupby(self.series, key=lambda series: series.key.device):
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
                yield Constrain(Prose(sentence, "dim"), width)
                yield Text()
            if lines := [(date, "", words) for date, words in step_lines(visible)]:
                yield Constrain(paragraphs(lines), width)
                yield Text()
        yield Constrain(Prose("\n".join(footer(self.unjudged)), "dim"), width)


def bars_width(width: int) -> int:
    """The width of the bars: what names, and three numbers with a unit, leave."""
    return max(SHORTEST, min(LONGEST, width - 56))


def table(series: Sequence[Series], room: int, plain: bool) -> DrawnTable:
    """Two lines per series: variant, bars, numbers; size, metric with its unit, number of runs.

    A variant is named once.
    """
    entries, before = [], ""
    for one_series in series:
        key = one_series.key
        variant, size = f"{key.pair} {key.variant}", series_size(one_series)
        unit, figures = units.column([one_series.values[0], one_series.median, one_series.values[-1]], key.metric.unit)
        name = f"{key.metric.name} ({unit})" if unit else key.metric.name
        runs = f"{name}, {units.plural(len(one_series.points), 'run')}"
        bars = StyledText(sparkline(condensed(one_series.values, room), plain), below=runs)
        entries.append(["" if before == variant + size else StyledText(variant, below=size), bars, *figures])
        before = variant + size
    columns = [
        *texts("variant", "history", width="fold"),
        *numbers("first", "median", "last"),
    ]
    return draw(Table(columns, entries))


def condensed(values: Sequence[float], room: int) -> list[float]:
    """At most `room` values: the medians of as many stretches of about equal length."""
    if len(values) <= room:
        return list(values)
    ends = [round(i * len(values) / room) for i in range(room + 1)]
    return [median(values[start:end]) for start, end in pairwise(ends)]
