"""A forest plot: intervals of ratios, one per line, on one axis around 1. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, log

from rich.console import RenderResult
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from ptxbench import stats
from ptxbench.metrics import REFERENCE
from ptxbench.result import Cell
from ptxbench.stats import Interval
from ptxbench.terminal.prose import Prose
from ptxbench.terminal.tables import Section
from ptxbench.units import size_words
from ptxbench.wording.cells import ratio_intervals
from ptxbench.wording.sparkline import sparkline

NARROWEST = 20
"""The fewest columns with which a picture shows more than the numbers next to it."""

MARGIN = 0.01
"""The least range of an axis around 1: smaller differences are not reported."""


@dataclass(frozen=True)
class Axis:
    """Ratios from `low` to `high`, by their logarithm: half and double are equally far from 1."""

    low: float
    high: float

    def column(self, value: float, width: int) -> int:
        """The position of `value` among `width` columns; values outside are at the end."""
        share = (log(value) - log(self.low)) / (log(self.high) - log(self.low))
        return min(max(round(share * (width - 1)), 0), width - 1)


def axis_of(intervals: Iterable[Interval], margin: float = MARGIN) -> Axis:
    """The axis for all of them, and at least 1 / (1 + margin) to 1 + margin."""
    ends = [log(end) for interval in intervals for end in (interval.low, interval.high)]
    return Axis(exp(min([-log(1 + margin), *ends])), exp(max([log(1 + margin), *ends])))


def bar(interval: Interval, axis: Axis, width: int, plain: bool = False, marks: Iterable[float] = ()) -> str:
    """`├───●───┤   ┊`: the interval with its value, and where 1 and the `marks` are."""
    line, ends, value, one, dot = ("-", "||", "o", ":", ".") if plain else ("─", "├┤", "●", "┊", "·")
    columns = [" "] * width
    for mark in marks:
        columns[axis.column(mark, width)] = dot
    columns[axis.column(1.0, width)] = one
    low, middle, high = (axis.column(end, width) for end in (interval.low, interval.value, interval.high))
    columns[low : high + 1] = [ends[0], *line * (high - low - 1), ends[1]][: high - low + 1]
    columns[middle] = value
    return "".join(columns)


def plain_ratio(value: float) -> str:
    return f"{value:.2f}"


def ticks(axis: Axis, width: int, words: Callable[[float], str] = plain_ratio) -> str:
    """The ends of the axis and 1, if there is room for them."""
    left, right, one = words(axis.low), words(axis.high), words(1.0)
    columns = list(left.ljust(width - len(right)) + right)
    start = min(max(axis.column(1.0, width) - len(one) // 2, 0), width - len(one))
    free = columns[max(start - 1, 0) : start + len(one) + 1]
    if set(free) <= {" "}:
        columns[start : start + len(one)] = one
    return "".join(columns)


@dataclass(frozen=True)
class Forest(Section):
    """The ratios of a pair's cells to the reference: interval as a picture and in figures, and the rounds.

    Nothing if there is a single ratio of a single round, which its table shows too.
    """

    cells: Sequence[Cell]

    def parts(self, width: int, plain: bool) -> RenderResult:
        rows = list(ratio_intervals(self.cells))
        rounds = [rounds_of(cell, variant, plain) for cell, variant, _ in rows]
        if len(rows) < 2 and not any(rounds):
            return
        labels = [f"{size_words(cell.point)}  {variant}" for cell, variant, _ in rows]
        figures = [f"{estimate.value:.3f} ±{(estimate.high - estimate.low) / 2:.3f}" for _, _, estimate in rows]
        headings = ("time / cuda", "", "rounds" * any(rounds))
        columns = [
            max(map(len, texts)) + 2 for texts in zip(headings, *zip(labels, figures, rounds, strict=True), strict=True)
        ]
        room = width - sum(columns)
        if room < NARROWEST:
            needed = sum(columns) + NARROWEST
            yield Prose(f"Not drawn in {width} columns: the intervals and the rounds. They need {needed}.", "dim")
            yield Text()
            return
        axis = axis_of(interval for _, _, interval in rows)
        table = Table.grid(padding=(0, 2, 0, 0))
        for justify in ("left", "left", "right", "left"):
            table.add_column(justify=justify, no_wrap=True)
        table.add_row(*(Text(text, "dim") for text in (headings[0], ticks(axis, room), *headings[1:])))
        for label, (_, _, interval), figure, line in zip(labels, rows, figures, rounds, strict=True):
            table.add_row(Text(label), Text(bar(interval, axis, room, plain), "cyan"), Text(figure), line)
        yield Constrain(table, width)
        yield Text()


def rounds_of(cell: Cell, variant: str, plain: bool) -> str:
    """The ratio in each round; nothing for a single one."""
    values = stats.round_log_ratios(cell.rounds, variant, REFERENCE)
    return sparkline(values, plain) if len(values) > 1 else ""
