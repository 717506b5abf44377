"""A picture of curves in characters: a marker per value, dots between, one scale for all panels. Makes renderables.

A dashed vertical line marks the value of the pair itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from rich.columns import Columns
from rich.console import RenderableType
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from ptxbench import units
from ptxbench.tune.panels import Panel, PanelScale, scale_of, value_words

MARKERS = ("●", "■", "▲", "◆", "○", "□", "△", "◇")
PLAIN_MARKERS = ("o", "x", "a", "b", "c", "d", "e", "f")
STYLES = ("cyan", "magenta", "green", "yellow", "blue", "red", "white", "bright_black")
"""Markers of the lines in a picture; if there are more lines, they repeat."""

BEST, PLAIN_BEST = "★", "*"

ROWS = 9
"""Lines of a picture."""

NARROWEST = 30
"""Least columns of a picture with its scale."""

Canvas = list[list[tuple[str, str]]]
"""Characters with their styles."""


def pictures(panels: Sequence[Panel], unit: str, plain: bool, width: int) -> Iterator[RenderableType]:
    """The panels of a quantity, as many side by side as fit, all with one scale."""
    scale = scale_of(panels)
    if scale is None:
        yield Text("  no value", "dim")
        return
    side_by_side = max(1, min(len(panels), width // (NARROWEST + 2)))
    room = width // side_by_side - 2
    for first in range(0, len(panels), side_by_side):
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_row(*(picture(panel, scale, unit, plain, room) for panel in panels[first : first + side_by_side]))
        yield row
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    if len(names) > 1:
        yield legend(names, panels[0].lines_are, plain, width)


def legend(names: Sequence[str], heading: str, plain: bool, width: int) -> RenderableType:
    """The marker of each line."""
    symbols = PLAIN_MARKERS if plain else MARKERS
    items = [
        Text.assemble((symbols[i % len(symbols)], STYLES[i % len(STYLES)]), " ", name) for i, name in enumerate(names)
    ]
    best = Text.assemble((PLAIN_BEST if plain else BEST, "bold"), " best")
    return Constrain(Columns([Text(heading, "dim"), *items, best], padding=(0, 2)), width)


def picture(panel: Panel, scale: PanelScale, unit: str, plain: bool, width: int) -> Text:
    """One panel as text, with its scale to the left and the values of the axis below it."""
    unit, ticks = units.column([scale.low, scale.middle, scale.high], unit)
    margin = max(map(len, ticks))
    columns = width - margin - 2
    last = max(len(panel.x) - 1, 1)

    def column(i: int) -> int:
        return round(i * (columns - 1) / last)

    text = Text(no_wrap=True)
    text.append(f"{panel.title}\n" if panel.title else "", "bold")
    text.append(f"{unit} {'(logarithmic)' if scale.logarithmic else ''}".strip() + "\n", "dim")
    labels = {0: ticks[2], ROWS // 2: ticks[1], ROWS - 1: ticks[0]}
    for y, line in enumerate(drawn(panel, scale, plain, column, columns)):
        text.append(f"{labels.get(y, ''):>{margin}} {'|' if plain else '│'}", "dim")
        for symbol, style in line:
            text.append(symbol, style)
        text.append("\n")
    text.append(" " * (margin + 2) + axis(panel, columns, column) + "\n", "dim")
    text.append(" " * (margin + 2) + panel.x_is.center(columns).rstrip(), "dim")
    return text


def drawn(panel: Panel, scale: PanelScale, plain: bool, column: Callable[[int], int], columns: int) -> Canvas:
    """The lines of a panel: dots from value to value, then all markers, and the best above them."""
    symbols, dot, bar = (PLAIN_MARKERS, ".", ":") if plain else (MARKERS, "·", "┊")
    canvas: Canvas = [[(" ", "")] * columns for _ in range(ROWS)]
    if panel.mark is not None and panel.mark in panel.x:
        for line_of_canvas in canvas:
            line_of_canvas[column(list(panel.x).index(panel.mark))] = bar, "dim"

    def row(value: float) -> int:
        return round((1 - scale.share(value)) * (ROWS - 1))

    markers, stars = [], []
    for number, line in enumerate(panel.lines):
        style = STYLES[number % len(STYLES)]
        spots = {i: (column(i), row(point.value)) for i, point in enumerate(line.values) if point is not None}
        for (x0, y0), (x1, y1) in pairwise(spots.values()):
            for x in range(x0, x1 + 1):
                y = round(y0 + (y1 - y0) * (x - x0) / max(x1 - x0, 1))
                if canvas[y][x][0] in (" ", bar):
                    canvas[y][x] = dot, style
        markers += [(spot, symbols[number % len(symbols)], style) for spot in spots.values()]
        if line.best in spots:
            stars.append((spots[line.best], PLAIN_BEST if plain else BEST, f"bold {style}"))
    for (x, y), marker, style in [*markers, *stars]:
        canvas[y][x] = marker, style
    return canvas


def axis(panel: Panel, columns: int, column: Callable[[int], int]) -> str:
    """The values of the axis at their places: the first, the last, and those between that fit."""
    line, occupied = [" "] * columns, list[tuple[int, int]]()
    last = len(panel.x) - 1
    for i in dict.fromkeys([0, last, *range(1, last)]):
        words = value_words(panel.x[i])
        start = min(max(column(i) - len(words) // 2, 0), columns - len(words))
        end = start + len(words)
        if start >= 0 and all(start > stop or end < begin for begin, stop in occupied):
            line[start:end] = words
            occupied.append((start, end))
    return "".join(line)
