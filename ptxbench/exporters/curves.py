"""A sweep as JSON for programs, and as a picture in SVG for pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ptxbench import units
from ptxbench.documents import json_text
from ptxbench.result import RunDocument
from ptxbench.safe_text import xml_text
from ptxbench.tune import Curves, Reading
from ptxbench.tune.curve import Quantity, unbuildable
from ptxbench.tune.panels import Panel, PanelLine, PanelScale, panels, scale_of, value_words

SCHEMA = "ptxbench.tune/1"


def to_json(curves: Curves, run: RunDocument) -> str:
    """The sweep with stable keys: its points, each variant's quantities there, the best point and its ties."""
    points = [
        {
            "at": dict(point.at),
            "possible": point.possible,
            "reason": point.reason,
            "labels": list(curves.labels.get(i, ())),
            "variants": {variant: at_point(curves, variant, i) for variant in curves.variants},
        }
        for i, point in enumerate(curves.points)
    ]
    document = {
        "schema": SCHEMA,
        "sweep": run.run.sweep,
        "run": run.run.id,
        "status": run.run.status,
        "device": run.device.name,
        "kind": curves.swept.kind,
        "quantities": [
            {
                "name": quantity.name,
                "unit": quantity.unit,
                "better": quantity.better,
                "description": quantity.description,
            }
            for quantity in curves.quantities
        ],
        "points": points,
        "best": {variant: best_of(curves, curves.main, variant) for variant in curves.variants},
    }
    return json_text(document)


def at_point(curves: Curves, variant: str, i: int) -> Mapping[str, Any] | None:
    result = curves.statuses[variant][i]
    if result is None:
        return None
    return {
        "status": "impossible" if unbuildable(result) else result.status,
        "reason": result.reason,
        "values": {quantity.name: value_of(curves.of(quantity, variant)[i]) for quantity in curves.quantities},
    }


def value_of(reading: Reading | None) -> Mapping[str, float | None] | None:
    if reading is None:
        return None
    low, high = (None, None) if reading.bare else (reading.interval.low, reading.interval.high)
    return {"value": reading.value, "low": low, "high": high, "rounds": len(reading.rounds) or None}


def best_of(curves: Curves, quantity: Quantity, variant: str) -> Mapping[str, Any] | None:
    best = curves.best(quantity, variant)
    if best is None:
        return None
    at = dict(curves.points[best.index].at)
    return {"quantity": quantity.name, "at": at, "tied": [dict(curves.points[i].at) for i in best.tied]}


# ---- SVG

WIDTH, HEIGHT = 380, 220
"""The size of a panel with its axes, in pixels."""

LEFT, RIGHT, TOP, BOTTOM = 62, 14, 44, 40
"""Margins around the lines of a panel."""

HEAD, LEGEND = 61, 26
"""Margins above all panels, and below those of a quantity."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Colours that colour-blind readers can distinguish (Okabe and Ito, 2008)."""

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #222; }
.title { font-weight: 600; font-size: 14px; }
.small { font-size: 11px; fill: #555; }
.axis { stroke: #999; fill: none; }
.mark { stroke: #bbb; stroke-dasharray: 3 3; }
"""


def to_svg(curves: Curves, run: RunDocument) -> str:
    """All quantities, one row of panels each."""
    rows = [(quantity, panels(curves, quantity)) for quantity in curves.quantities]
    columns = max(len(row_panels) for _, row_panels in rows)
    row_height = HEIGHT + LEGEND
    width, height = max(columns, 2) * WIDTH, HEAD + len(rows) * row_height  # the heading needs the width of two
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>{xml_text(title(curves))}</title><style>{STYLE}</style>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        text(12, 20, title(curves), "title"),
        *(text(12, 37 + 15 * i, line, "small") for i, line in enumerate(subtitle(curves, run))),
    ]
    for number, (quantity, row_panels) in enumerate(rows):
        top = HEAD + number * row_height
        scale = scale_of(row_panels)
        for column, panel in enumerate(row_panels):
            parts += drawn(panel, quantity, scale, column * WIDTH, top)
        parts += legend(row_panels, top + HEIGHT + 12)
    return "\n".join([*parts, "</svg>"]) + "\n"


def title(curves: Curves) -> str:
    return f"{curves.swept.loaded.name}: {' and '.join(curves.swept.values)}"


def subtitle(curves: Curves, run: RunDocument) -> tuple[str, str]:
    quantity = "counts of the emulator, no times" if curves.swept.kind == "counts" else "99 % intervals"
    marks = f"; dashed: {units.size_words(curves.marks)}" if curves.marks else ""
    return f"{run.device.name}, {run.run.started}, run {run.run.id}", f"{quantity}; a ring: the best{marks}"


def drawn(panel: Panel, quantity: Quantity, scale: PanelScale | None, left: float, top: float) -> Iterator[str]:
    """One panel: its axes, a line for each value of the second knob, intervals, the best."""
    x0, x1, y0, y1 = left + LEFT, left + WIDTH - RIGHT, top + TOP, top + HEIGHT - BOTTOM
    heading = f"{panel.title}: {quantity.name}" if panel.title else quantity.name
    yield text(left + 12, top + 14, heading, "title")
    if scale is None:
        yield text(x0, (y0 + y1) / 2, "no value", "small")
        return
    unit, ticks = units.column([scale.low, scale.middle, scale.high], quantity.unit)
    yield text(left + 12, top + 28, f"{unit} {'(logarithmic)' if scale.logarithmic else ''}".strip(), "small")
    yield f'<path class="axis" d="M{x0:.1f} {y0:.1f}V{y1:.1f}H{x1:.1f}"/>'
    for share, tick in ((0.0, ticks[0]), (0.5, ticks[1]), (1.0, ticks[2])):
        yield text(x0 - 6, y1 - share * (y1 - y0) + 4, tick, "small", "end")
    last = max(len(panel.x) - 1, 1)
    xs = [x0 + 8 + i * (x1 - x0 - 16) / last for i in range(len(panel.x))]
    for i in shown_ticks(panel, (x1 - x0) / last):
        yield text(xs[i], y1 + 15, value_words(panel.x[i]), "small", "middle")
    yield text((x0 + x1) / 2, y1 + 31, panel.x_is, "small", "middle")
    if panel.mark is not None and panel.mark in panel.x:
        mark_x = xs[list(panel.x).index(panel.mark)]
        yield f'<path class="mark" d="M{mark_x:.1f} {y0 - 6:.1f}V{y1:.1f}"/>'
    for number, line in enumerate(panel.lines):
        yield from curve(line, COLOURS[number % len(COLOURS)], scale, xs, y0, y1)


def curve(line: PanelLine, colour: str, scale: PanelScale, xs: Sequence[float], y0: float, y1: float) -> Iterator[str]:
    def y(value: float) -> float:
        return y1 - scale.share(value) * (y1 - y0)

    points = [(xs[i], point, i) for i, point in enumerate(line.values) if point is not None]
    path = "L".join(f"{x:.1f} {y(point.value):.1f}" for x, point, _ in points)
    yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>' if points else ""
    for x, point, i in points:
        if not point.bare:
            yield f'<path d="M{x:.1f} {y(point.interval.low):.1f}V{y(point.interval.high):.1f}" stroke="{colour}"/>'
        yield f'<circle cx="{x:.1f}" cy="{y(point.value):.1f}" r="2.5" fill="{colour}"/>'
        if i == line.best:
            ring = f'fill="none" stroke="{colour}" stroke-width="2"'
            yield f'<circle cx="{x:.1f}" cy="{y(point.value):.1f}" r="6" {ring}/>'


def shown_ticks(panel: Panel, step: float) -> range:
    """The indices of the values with a label: all of them, or every second, third, ..., so that the labels have
    room."""
    widest = max(len(value_words(value)) for value in panel.x) * 7 + 6
    return range(0, len(panel.x), max(1, -int(-widest // step)))


def legend(row_panels: Sequence[Panel], y: float) -> Iterator[str]:
    names = list(dict.fromkeys(line.name for panel in row_panels for line in panel.lines))
    x = 12.0
    yield text(x, y, row_panels[0].lines_are, "small")
    x += 8 * len(row_panels[0].lines_are) + 10
    for i, name in enumerate(names):
        yield f'<circle cx="{x:.1f}" cy="{y - 4:.1f}" r="4" fill="{COLOURS[i % len(COLOURS)]}"/>'
        yield text(x + 8, y, name, "small")
        x += 8 * len(name) + 28


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{xml_text(words)}</text>'


EXPORTERS: dict[str, Callable[[Curves, RunDocument], str]] = {".svg": to_svg, ".json": to_json}
