"""A row of values as one line of bars, one character each."""

from __future__ import annotations

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.-~=+*#"
"""The bars for a terminal with ASCII only."""


def sparkline(values: Sequence[float], plain: bool = False, *, of: Sequence[float] | None = None) -> str:
    """The values as bars between the least and the greatest of `of`, by default of `values`; in the middle if equal."""
    bars = PLAIN_BARS if plain else BARS
    scale = values if of is None else of
    if not values:
        return ""
    low, high = min(scale), max(scale)
    if low == high:
        return bars[len(bars) // 2 - 1] * len(values)
    return "".join(bars[round((len(bars) - 1) * (value - low) / (high - low))] for value in values)
