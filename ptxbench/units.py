"""Numbers and lists for people: SI prefixes, digits, and columns that align. A missing value is "-"."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

ABSENT = "-"
PREFIXES = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
DIGITS = 4
"""Significant digits of a measured value: its noise is some 0.1 %."""

WHOLE = 100_000
"""Whole numbers below this are written out: shorter than their prefix and digits would be."""


def si(value: float | None, unit: str = "") -> str:
    """`12.34 µs`, `1.940 TB/s`, `4,096`, `75 %`, `0.912 ×`."""
    shared, (text,) = column([value], unit)
    return f"{text} {shared}".strip() if value is not None else ABSENT


def column(values: Sequence[float | None], unit: str = "") -> tuple[str, list[str]]:
    """The unit with one prefix that suits all `values`, and their numbers in it, with equally many decimals.

    Three units have their own form: "%" of a share, "×" of a ratio, and "error", whose order is what matters.
    """
    if unit == "%":
        return unit, [fixed(None if value is None else 100 * value, 0) for value in values]
    if unit == "×":
        return unit, [fixed(value, 3) for value in values]
    if unit == "error":
        return "", [error(value) for value in values]
    magnitudes = sorted(abs(value) for value in values if value)
    least, greatest = (magnitudes[0], magnitudes[-1]) if magnitudes else (0.0, 0.0)
    power = prefix_power(least, greatest, counted=unit in ("", "B"))
    are_integers = power == 0 and all(value == int(value) for value in magnitudes) and unit in ("", "B")
    decimals = 0 if are_integers else decimals_for(least / 10.0**power, greatest / 10.0**power)
    return PREFIXES[power] + unit, [fixed(None if value is None else value / 10.0**power, decimals) for value in values]


def ranges(values: Sequence[tuple[float | None, float | None] | None], unit: str = "") -> tuple[str, list[str]]:
    """A `column` of ranges, `2.9 - 3.1`; one number if both ends look the same."""
    shared, numbers = column([end for value in values for end in value or (None, None)], unit)
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return shared, [low if low == high else f"{low} - {high}" for low, high in pairs]


def prefix_power(least: float, greatest: float, *, counted: bool) -> int:
    """The power of ten of the prefix that suits `greatest`, smaller if `least` would have no digit before the point.

    If the value is `counted`, it has no fractions, and small counts have no prefix.
    """
    smallest = 0 if counted else min(PREFIXES)
    if not greatest or (counted and greatest < WHOLE):
        return 0
    power = max((power for power in PREFIXES if greatest >= 10.0**power), default=smallest)
    while power > smallest and least < 0.1 * 10.0**power:
        power -= 3
    return max(power, smallest)


def decimals_for(least: float, greatest: float) -> int:
    """How many decimals give `greatest` DIGITS digits and `least` at least two."""
    return max(0, DIGITS - digits_before(greatest), min(2 - digits_before(least), 3))


def digits_before(value: float) -> int:
    """The digits before the decimal point; 1 for values below 1."""
    return 1 if value < 1 else math.floor(math.log10(value)) + 1


def fixed(value: float | None, decimals: int) -> str:
    """`1,234.50`; absent if None."""
    return ABSENT if value is None else f"{value:,.{decimals}f}"


def error(value: float | None) -> str:
    """A greatest |error|: `0`, `1.2e-07`."""
    if value is None:
        return ABSENT
    return "0" if value == 0 else f"{value:.1e}"


def size_words(size: Mapping[str, int], cache: str = "cold") -> str:
    """A size as in messages and `--size`: `rows=3 columns=257`, then a cache mode other than the usual one.

    A pair without dimensions has one size.
    """
    words = " ".join(f"{name}={value}" for name, value in size.items()) or "its only size"
    return words if cache == "cold" else f"{words} {cache} cache"


def enumeration(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return ", ".join(parts[:-1]) + (" and " if parts[1:] else "") + "".join(parts[-1:])


def plural(count: int, noun: str) -> str:
    """`1 cell`, `2,048 cells`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
