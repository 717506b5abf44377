"""The layout of curves for all outputs: a panel per variant, a line per value of the second knob, one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

from ptxbench.tune.curve import Curves, Quantity, Reading

OFF_MIDDLE = 0.05
"""How far from the middle of a scale its middle number may be, as a share: half the height of a line of text."""

LOGARITHMIC = 10
"""From this ratio of the greatest value to the least on, a scale is logarithmic."""


@dataclass(frozen=True)
class PanelLine:
    """One line of a panel: a reading for each value of the axis, the best point, and those tied with it."""

    name: str
    values: Sequence[Reading | None]
    best: int | None = None
    tied: Sequence[int] = ()


@dataclass(frozen=True)
class Panel:
    """One picture. `x`: the values of the axis, evenly spaced; `mark`: one of them to point at."""

    title: str
    x_is: str
    x: Sequence[int]
    lines_are: str
    lines: Sequence[PanelLine]
    mark: int | None = None


@dataclass(frozen=True)
class PanelScale:
    low: float
    high: float
    logarithmic: bool

    @property
    def middle(self) -> float:
        """The value halfway; between whole numbers a whole one if that is close to halfway."""
        value = exp((log(self.low) + log(self.high)) / 2) if self.logarithmic else (self.low + self.high) / 2
        whole = float(round(value))
        is_close = self.low.is_integer() and self.high.is_integer() and abs(self.share(whole) - 0.5) <= OFF_MIDDLE
        return whole if is_close else value

    def share(self, value: float) -> float:
        """The position of `value`, from 0 at the low end to 1."""
        if self.logarithmic:
            return (log(value) - log(self.low)) / (log(self.high) - log(self.low))
        return (value - self.low) / (self.high - self.low)


def panels(curves: Curves, quantity: Quantity) -> list[Panel]:
    """The panels of a quantity. For one knob, all variants as lines of one; for two, one panel per variant."""
    (x_name, x), *second = curves.swept.values.items()
    mark = curves.marks.get(x_name)
    if not second:
        lines = []
        for variant in curves.variants:
            best = curves.best(quantity, variant)
            readings = curves.of(quantity, variant)
            lines.append(PanelLine(variant, readings, best.index if best else None, best.tied if best else ()))
        return [Panel("", x_name, x, "variant", lines, mark)]
    [(second_name, values)] = second
    result = []
    for variant in curves.variants:
        best, readings = curves.best(quantity, variant), curves.of(quantity, variant)
        lines = []
        for k, value in enumerate(values):
            indices = range(k, len(readings), len(values))  # the second name varies fastest
            at = {index: i for i, index in enumerate(indices)}
            lines.append(
                PanelLine(
                    value_words(value),
                    [readings[index] for index in indices],
                    at.get(best.index) if best else None,
                    [at[index] for index in best.tied if index in at] if best else (),
                )
            )
        result.append(Panel(variant, x_name, x, second_name, lines, mark))
    return result


def scale_of(all_panels: Sequence[Panel]) -> PanelScale | None:
    """One scale for all panels; None if there is no value."""
    ends = [
        end
        for panel in all_panels
        for line in panel.lines
        for value in line.values
        if value
        for end in (value.interval.low, value.value, value.interval.high)
    ]
    if not ends:
        return None
    low, high = float(min(ends)), float(max(ends))
    if low == high:
        pad = abs(low) / 20 or 1.0
        return PanelScale(low - pad, high + pad, logarithmic=False)
    return PanelScale(low, high, logarithmic=low > 0 and high / low >= LOGARITHMIC)


def value_words(value: int) -> str:
    """A short form of a knob's value: 16384 as 16K, if that is exact."""
    for power, prefix in ((30, "G"), (20, "M"), (10, "K")):
        if value >= 1 << power and value % (1 << power) == 0 and value >= 4 << 10:
            return f"{value >> power}{prefix}"
    return str(value)
