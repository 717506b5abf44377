"""The roofline of a run as a picture: where ceilings, points and their labels lie. Geometry only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, log, log10

from ptxbench import roofline
from ptxbench.metrics import BY_NAME, REFERENCE
from ptxbench.result import Cell, Limits
from ptxbench.units import si

WIDE, HIGH = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 96, 18, 16, 46
"""Margins of the plot in the picture."""
LABEL = 13
"""Height of a label."""


@dataclass(frozen=True)
class Roof:
    """A ceiling as a line, with its name and where that stands."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Point:
    """A variant: where it lies, and the end of the line to its label where one was needed."""

    pair: str
    variant: str
    x: float
    y: float
    label_y: float
    hollow: bool
    told: str


@dataclass(frozen=True)
class Roofline:
    """A roofline. `model`: nothing was timed, and a point says only how much its limit would allow."""

    limits: Limits
    model: bool
    roofs: tuple[Roof, ...]
    points: tuple[Point, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    absent: tuple[str, ...]
    """Pairs without flops, or whose arithmetic has no published rate."""


@dataclass(frozen=True)
class Spot:
    """One point in its units."""

    pair: str
    variant: str
    intensity: float
    flops: float


def roofline_of(cells: Sequence[Cell]) -> Roofline | None:
    """The roofline of the cells that have flops and limits: measured where there are times, else a model.

    None where no cell has. Of several sizes of a pair, the last.
    """
    limits = next((cell.limits for cell in cells if cell.limits), None)
    if limits is None:
        return None
    model = not any(cell.rounds for cell in cells)
    largest = {cell.pair: cell for cell in cells if cell.limits == limits}
    spots = [spot for cell in largest.values() for spot in spots_of(cell, model)]
    if not spots:
        return None
    shown = {spot.pair for spot in spots}
    rates = {"f32": limits.f32, "tensor cores": limits.tensor}
    peaks = {name: rate for name, rate in rates.items() if rate}
    least = min(spot.intensity for spot in spots)
    ridge = max([rate / limits.bytes_per_s for rate in peaks.values()] or [1.0])
    x = Scale(least / 2, 4 * max(ridge, *(spot.intensity for spot in spots)), LEFT, WIDE - RIGHT)
    lowest = min([x.low * limits.bytes_per_s, *(spot.flops for spot in spots)])
    top = max([*peaks.values(), *(spot.flops for spot in spots)])
    y = Scale(lowest / 2, 2 * top, HIGH - BOTTOM, TOP)
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
        tuple(placed(spots, x, y, model)),
        tuple((x.at(value), f"{value:g}") for value in x.decades),
        tuple((y.at(value), re.sub(r"\.0+ ", " ", si(value, "flop/s"))) for value in y.decades),
        tuple(cell for cell in largest if cell not in shown),
    )


def memory_roof(limits: Limits, x: Scale, y: Scale, top: float) -> Roof:
    ends = ((value, value * limits.bytes_per_s) for value in (x.low, top / limits.bytes_per_s))
    return Roof(f"memory {si(limits.bytes_per_s, 'B/s')}", tuple((x.at(a), y.at(b)) for a, b in ends))


def spots_of(cell: Cell, model: bool) -> Iterator[Spot]:
    """The verified variants: what they reached, or in a model what the limits allow the pair, once."""
    for variant, result in cell.variants.items():
        intensity = BY_NAME["intensity"].of(cell, variant)
        bound = roofline.bound(cell, result)
        if model:
            if intensity and bound and variant == REFERENCE:
                yield Spot(cell.pair, "", intensity, cell.work["flops"] / bound.seconds)
        elif intensity and (reached := BY_NAME["compute"].of(cell, variant)) and variant in (REFERENCE, "ptx"):
            yield Spot(cell.pair, variant, intensity, reached)


@dataclass(frozen=True)
class Scale:
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


def placed(spots: Sequence[Spot], x: Scale, y: Scale, model: bool) -> Iterator[Point]:
    """Points with their labels moved down until none covers another; of a pair that was timed, one label."""
    taken: list[tuple[float, float, float]] = []
    for spot in sorted(spots, key=lambda each: (each.intensity, -each.flops)):
        at_x, at_y = x.at(spot.intensity), y.at(spot.flops)
        label, width = at_y + 22, 7.2 * len(spot.pair) + 12
        while any(abs(label - other) < LABEL and start < at_x + width and at_x < end for start, end, other in taken):
            label += LABEL
        labelled = model or spot.variant != REFERENCE
        if labelled:
            taken.append((at_x, at_x + width, label))
        reached = "its limit" if model else spot.variant
        told = f"{spot.pair}: {spot.intensity:.3g} flop/byte, {reached} {si(spot.flops, 'flop/s')}"
        yield Point(
            spot.pair if labelled else "", spot.variant, at_x, at_y, label, model or spot.variant == REFERENCE, told
        )
