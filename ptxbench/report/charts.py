"""The chart of a run: ratios of times with their intervals, or of counts, on a logarithmic axis. Geometry only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log

from ptxbench import stats
from ptxbench.metrics import BY_NAME, REFERENCE, Metric
from ptxbench.result import VERIFIED, Cell
from ptxbench.rival import Leader, Rival, verdict
from ptxbench.units import size_words
from ptxbench.wording.cells import ratio_intervals
from ptxbench.wording.findings import NARROW, SAME_CODE, code_relation

TICKS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32, 64)
HALF_TICKS = (0.125, 0.18, 0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8)
FINE_TICKS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2)
FEWEST_TICKS, MOST_TICKS = 5, 9
MARGIN = 0.05
"""The least range of an axis around 1."""
ROOM = 0.04
"""The share of the axis that is free at each end."""

AXIS_RIVAL = Rival(Leader(REFERENCE))
"""The row whose time is 1 on the axis; it need not be the best CUDA C."""


@dataclass(frozen=True)
class AxisTick:
    at: float
    """Position in per cent of the width."""
    text: str
    minor: bool
    """Whether a narrow picture omits its text."""


@dataclass(frozen=True)
class ChartAxis:
    """Ratios by their logarithm, as positions in per cent: half and double are equally far from 1."""

    low: float
    high: float

    def at(self, value: float) -> float:
        share = (log(value) - log(self.low)) / (log(self.high) - log(self.low))
        return round(100 * min(max(share, 0.0), 1.0), 1)

    @property
    def ticks(self) -> list[AxisTick]:
        shown: list[float] = []
        for scale in (TICKS, HALF_TICKS, FINE_TICKS):
            shown = [value for value in scale if self.low <= value <= self.high]
            if len(shown) >= FEWEST_TICKS:
                break
        while len(shown) > MOST_TICKS:
            index_of_one = shown.index(1)
            shown = [value for i, value in enumerate(shown) if (i - index_of_one) % 2 == 0]
        index_of_one = shown.index(1)
        return [
            AxisTick(self.at(value), tick_text(value), (i - index_of_one) % 2 == 1) for i, value in enumerate(shown)
        ]


def tick_text(value: float) -> str:
    return f"1/{1 / value:.0f}" if value < 0.1 else f"{value:g}"


def axis_of(values: Sequence[float]) -> ChartAxis:
    """The axis for all of them, with some room around 1 and at its ends."""
    low, high = min([1 / (1 + MARGIN), *values]), max([1 + MARGIN, *values])
    room = ROOM * (log(high) - log(low))
    return ChartAxis(exp(log(low) - room), exp(log(high) + room))


@dataclass(frozen=True)
class ChartMark:
    """One ratio. `kind`: what is compared; `rounds`: the ratio of each round. The interval of a count has no width."""

    kind: str
    ratio: stats.Interval
    rounds: tuple[float, ...] = ()


@dataclass(frozen=True)
class ChartLine:
    """One line of a chart. `style`: that of a verdict, or `same-code`, or nothing."""

    pair: str
    size: str
    variant: str
    marks: tuple[ChartMark, ...]
    style: str
    figures: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    timed: bool
    axis: ChartAxis
    lines: tuple[ChartLine, ...]

    @property
    def same_code(self) -> bool:
        """Whether a line has the same machine code as the reference, and so its own colour."""
        return any(line.style == "same-code" for line in self.lines)


def chart(cells: Sequence[Cell], noise: stats.Interval | None) -> Chart | None:
    """The ratios of times, or of counts if there are no times; None if there are neither."""
    timed = any(cell.rounds for cell in cells)
    lines = tuple(timed_lines(cells, noise) if timed else counted_lines(cells))
    if not lines:
        return None
    marks = [mark for line in lines for mark in line.marks]
    ends = [end for mark in marks for end in (mark.ratio.low, mark.ratio.value, mark.ratio.high, *mark.rounds) if end]
    return Chart(timed, axis_of(ends), lines)


def timed_lines(cells: Sequence[Cell], noise: stats.Interval | None) -> Iterator[ChartLine]:
    for cell, variant, ratio in ratio_intervals(cells):
        word = verdict(cell, variant, AXIS_RIVAL, noise).split(":")[0]
        style = SAME_CODE if same_code(cell, variant) else word
        figure = f"{ratio.value:.3f} ±{(ratio.high - ratio.low) / 2:.3f}"
        rounds = [exp(round_log_ratio) for round_log_ratio in stats.round_log_ratios(cell.rounds, variant, REFERENCE)]
        mark = ChartMark("time", ratio, tuple(rounds) if len(rounds) > 1 else ())
        yield ChartLine(cell.pair, size_words(cell.point, cell.cache), variant, (mark,), style_of(style), (figure,))


def counted_lines(cells: Sequence[Cell]) -> Iterator[ChartLine]:
    compared = counted(cells)
    for cell in cells:
        for variant, result in cell.variants.items():
            if variant == REFERENCE or result.status != VERIFIED:
                continue
            ratios = {
                kind: value
                for kind, metric in compared.items()
                if (value := relative(cell, variant, metric)) is not None
            }
            if ratios:
                figures = tuple(f"{ratios[kind]:.3f}" if kind in ratios else "-" for kind in compared)
                marks = tuple(ChartMark(kind, stats.Interval(value, value, value)) for kind, value in ratios.items())
                style = "same-code" if same_code(cell, variant) else ""
                yield ChartLine(cell.pair, size_words(cell.point, cell.cache), variant, marks, style, figures)


def of_machine(cells: Sequence[Cell]) -> bool:
    """Whether machine instructions are compared: not if no variant has a number of them, as in older runs."""
    return any(result.executed is not None for cell in cells for result in cell.variants.values())


def counted(cells: Sequence[Cell]) -> dict[str, str]:
    """The metrics that are compared, by kind."""
    instructions = "sass_executed" if of_machine(cells) else "ptx_warp_instructions"
    return {"instructions": instructions, "sectors": "ptx_global_sectors"}


def relative(cell: Cell, variant: str, metric: str) -> float | None:
    """A count divided by that of the verified reference; None if one is missing or 0."""
    reference = cell.variants.get(REFERENCE)
    if reference is None or reference.status != VERIFIED:
        return None
    value, reference_value = BY_NAME[metric].of(cell, variant), BY_NAME[metric].of(cell, REFERENCE)
    if not value or not reference_value or any(is_wide(BY_NAME[metric], cell, side) for side in (variant, REFERENCE)):
        return None
    return value / reference_value


def is_wide(metric: Metric, cell: Cell, variant: str) -> bool:
    """Whether a number is too uncertain to be drawn as a dot."""
    ends = metric.interval(cell, variant, cell.variants[variant]) if metric.bounds and metric.interval else None
    return ends is not None and ends[1] > NARROW * ends[0]


def same_code(cell: Cell, variant: str) -> bool:
    reference = cell.variants.get(REFERENCE)
    return reference is not None and code_relation(cell.variants[variant], reference) == SAME_CODE


def style_of(word: str) -> str:
    """The class of a verdict: `faster`, `slower`, `same`, `same-code`, or `unsure` for all others."""
    styles = {"FASTER": "faster", "SLOWER": "slower", "SAME": "same", SAME_CODE: "same-code"}
    return styles.get(word, "unsure")
