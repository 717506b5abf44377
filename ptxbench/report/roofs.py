"""The roofline of a run as a picture: the positions of ceilings, points and their labels. Geometry only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, log, log10

from ptxbench import roofline
from ptxbench.metrics import BY_NAME, REFERENCE
from ptxbench.result import COLD, Cell, RooflineLimits
from ptxbench.units import si

WIDE, HIGH = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 96, 18, 16, 46
"""Margins of the plot in the picture."""
LABEL, LETTER = 13, 6.6
"""Height of a label, and width of its letters."""


@dataclass(frozen=True)
class Roof:
    """A ceiling as a line of two points, with its name and the place where the name ends."""

    name: str
    points: tuple[tuple[float, float], tuple[float, float]]

    @property
    def name_at(self) -> tuple[float, float]:
        """The name's place above the line: at its end, or before it on a slope."""
        (x0, y0), (x1, y1) = self.points
        share = 1.0 if y0 == y1 else 0.74
        return round(x0 + share * (x1 - x0) - 8, 1), round(y0 + share * (y1 - y0) - 8, 1)


@dataclass(frozen=True)
class RoofPoint:
    """A pair, or a variant of it, and its label: below it to the right, or above it to the left.

    `label` names the pairs at this place. Other points at the place have an empty one, and so does a timed reference
    whose `ptx` was timed too.
    """

    label: str
    x: float
    y: float
    label_y: float
    above: bool
    hollow: bool
    title: str


@dataclass(frozen=True)
class Roofline:
    """A roofline. `model`: nothing was timed, and a point only shows how much its limit would allow."""

    limits: RooflineLimits
    model: bool
    roofs: tuple[Roof, ...]
    points: tuple[RoofPoint, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    absent: tuple[str, ...]
    """Pairs without flops, or without a published rate for their arithmetic."""
    untimed: tuple[str, ...] = ()
    """Pairs with flops of which no point was timed; none in a model."""


@dataclass(frozen=True)
class UnitPoint:
    """A point by its values, before it has a position in the picture."""

    pair: str
    variant: str
    intensity: float
    flops: float
    on_slope: bool = False
    """Whether it is on the memory roof, above which there is room for a label."""


def roofline_of(cells: Sequence[Cell]) -> Roofline | None:
    """The roofline of the cells that have flops and limits: measured if there are times, otherwise a model.

    None if no cell has them. Of a pair with several sizes, only the largest one that has points counts.
    """
    cells = [cell for cell in cells if cell.cache == COLD]  # the memory roof does not limit data in L2
    limits = next((cell.limits for cell in cells if cell.limits), None)
    if limits is None:
        return None
    model = not any(cell.rounds for cell in cells)
    by_pair: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.limits == limits:
            by_pair.setdefault(cell.pair, []).append(cell)
    largest = {pair: max(sizes, key=lambda cell: extent(cell, model)) for pair, sizes in by_pair.items()}
    points = [point for cell in largest.values() for point in unit_points(cell, model)]
    if not points:
        return None
    shown = {point.pair for point in points}
    untimed = () if model else tuple(pair for pair, cell in largest.items() if pair not in shown and has_flops(cell))
    rates = {"f32": limits.f32, "tensor cores": limits.tensor}
    peaks = {name: rate for name, rate in rates.items() if rate}
    least = min(point.intensity for point in points)
    ridge = max([rate / limits.bytes_per_s for rate in peaks.values()] or [1.0])
    x = RoofScale(
        least / (8 if model else 2), 4 * max(ridge, *(point.intensity for point in points)), LEFT, WIDE - RIGHT
    )
    lowest = min([x.low * limits.bytes_per_s, *(point.flops for point in points)])
    top = max([*peaks.values(), *(point.flops for point in points)])
    y = RoofScale(
        lowest / (8 if model else 4), 2 * top, HIGH - BOTTOM, TOP
    )  # with room for labels below the lowest point
    roofs = [memory_roof(limits, x, y, max(peaks.values(), default=top))]
    roofs += [
        Roof(
            f"{name} {si(rate, 'flop/s')}",
            ((x.at(rate / limits.bytes_per_s), y.at(rate)), (x.at(x.high), y.at(rate))),
        )
        for name, rate in peaks.items()
    ]
    return Roofline(
        limits,
        model,
        tuple(roofs),
        tuple(placed(points, roofs, x, y, model)),
        tuple((x.at(value), f"{value:,g}") for value in x.decades),
        tuple((y.at(value), re.sub(r"\.0+ ", " ", si(value, "flop/s"))) for value in y.decades),
        tuple(pair for pair in largest if pair not in (*shown, *untimed)),
        untimed,
    )


def memory_roof(limits: RooflineLimits, x: RoofScale, y: RoofScale, top: float) -> Roof:
    start, end = (
        (x.at(intensity), y.at(intensity * limits.bytes_per_s)) for intensity in (x.low, top / limits.bytes_per_s)
    )
    return Roof(f"memory {si(limits.bytes_per_s, 'B/s')}", (start, end))


def unit_points(cell: Cell, model: bool) -> Iterator[UnitPoint]:
    """The points of a cell: what each verified variant reached, or in a model one point with what the limits allow."""
    for variant, result in cell.variants.items():
        intensity = BY_NAME["intensity"].of(cell, variant)
        bound = roofline.bound(cell, result)
        if model:
            if intensity and bound and variant == REFERENCE:
                yield UnitPoint(
                    cell.pair, "", intensity, cell.work["flops"] / bound.seconds, bound.by == roofline.MEMORY
                )
        elif intensity and (reached := BY_NAME["compute"].of(cell, variant)) and variant in (REFERENCE, "ptx"):
            yield UnitPoint(cell.pair, variant, intensity, reached)


def extent(cell: Cell, model: bool) -> tuple[bool, float, float]:
    """By what a pair's cell is chosen: whether it has points, then its bytes and flops."""
    return any(unit_points(cell, model)), cell.work.get("bytes") or 0, cell.work.get("flops") or 0


def has_flops(cell: Cell) -> bool:
    return any(BY_NAME["intensity"].of(cell, variant) for variant in cell.variants)


@dataclass(frozen=True)
class RoofScale:
    """A logarithmic axis from `low` to `high`, between two positions of the picture."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (log(value) - log(self.low)) / (log(self.high) - log(self.low))
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def decades(self) -> list[float]:
        first, last = floor(log10(self.low)) + 1, floor(log10(self.high))
        return [10.0**power for power in range(first, last + 1)]


def placed(
    points: Sequence[UnitPoint], roofs: Sequence[Roof], x: RoofScale, y: RoofScale, model: bool
) -> Iterator[RoofPoint]:
    """Points with their labels moved so that they do not overlap.

    Labels of points on the memory roof are below and above it in turn.
    """
    names = [(roof.name_at, LETTER * len(roof.name)) for roof in roofs]
    occupied = [(right - width, right, bottom) for (right, bottom), width in names]
    with_ptx = {point.pair for point in points if point.variant != REFERENCE}
    labelled: set[str] = set()
    sides = 0
    for point in sorted(points, key=lambda point: (point.intensity, -point.flops, point.pair)):
        at_x, at_y = x.at(point.intensity), y.at(point.flops)
        pairs_at_point = [point.pair for point in points if (x.at(point.intensity), y.at(point.flops)) == (at_x, at_y)]
        label = ", ".join(dict.fromkeys(pairs_at_point)) if model else point.pair
        by_ptx = not model and point.variant == REFERENCE and point.pair in with_ptx
        label = "" if point.pair in labelled or by_ptx else label
        labelled.update(label.split(", "))
        width = LETTER * len(label) + 12
        above = bool(label) and point.on_slope and sides % 2 == 1 and at_x - width > LEFT
        start, end = (at_x - width, at_x) if above else (at_x, at_x + width)
        label_y = at_y - 10 if above else at_y + 22
        while label and any(
            abs(label_y - other) < LABEL and left < end and start < right for left, right, other in occupied
        ):
            label_y += -LABEL if above else LABEL
        if label:
            sides += 1
            occupied.append((start, end, label_y))
        reached = "its limit" if model else point.variant
        text = f"{point.pair}: {point.intensity:.3g} flop/byte, {reached} {si(point.flops, 'flop/s')}"
        yield RoofPoint(label, at_x, at_y, label_y, above, model or point.variant == REFERENCE, text)
