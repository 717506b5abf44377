"""The table that Nsight Compute writes with --csv: one row per metric of a launch, or one row per launch.

Text in, numbers out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ptxbench.errors import ResultError

HEADER = re.compile(r'^"?ID"?,', re.M)
"""Begins the first line of the table; lines of the profiler come before it and begin with ==."""

NAME, UNIT, VALUE = "Metric Name", "Metric Unit", "Metric Value"

Extent = tuple[int, int, int]

SCALED = re.compile(r"(K|M|G|T)(inst|sector|request|wavefront|byte|cycle)s?", re.I)
"""Units in which Nsight Compute writes rounded numbers, unless it gets `--print-units base`."""


@dataclass(frozen=True)
class ProfiledLaunch:
    """One launch of the table. What its columns do not say is None."""

    kernel: str | None = None
    grid: Extent | None = None
    block: Extent | None = None
    arch: str | None = None
    counts: Mapping[str, float] = field(default_factory=dict)


def read(text: str) -> list[ProfiledLaunch]:
    """The launches of the output of `ncu --csv`, in order, without the metrics that it could not count.

    Raises ResultError for numbers in a scaled unit, which are rounded.
    """
    header = HEADER.search(text)
    lines = text[header.start() :].splitlines() if header else []
    reader = csv.DictReader(line for line in lines if not line.startswith("=="))
    launches: dict[str, tuple[dict[str, str], dict[str, float]]] = {}
    units: dict[str, str] = {}
    for row in rows_of(reader):
        if NAME not in row and not row["ID"]:  # of the page `raw`: the second line has the units
            units = row
            continue
        counts = launches.setdefault(row["ID"], (row, {}))[1]
        for name, unit, value in metrics(row, units):
            if (count := number(value)) is not None:
                if SCALED.fullmatch(unit):
                    raise ResultError(f"{name} is in {unit}, which is rounded. Export it with --print-units base.")
                counts[name] = count
    return [launch(row, counts) for row, counts in launches.values()]


def rows_of(reader: Iterator[dict[str, str]]) -> Iterator[dict[str, str]]:
    """The rows of a table. Raises ResultError if it is damaged."""
    try:
        yield from reader
    except csv.Error as error:
        raise ResultError(f"The table of ncu is damaged: {error}. Profile again.") from None


def metrics(row: Mapping[str, str], units: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Name, unit and value of each metric in a row."""
    if NAME in row:
        yield row[NAME] or "", row.get(UNIT) or "", row.get(VALUE) or ""
    else:
        yield from ((name, units.get(name) or "", row[name] or "") for name in row if name and "__" in name)


def launch(row: Mapping[str, str], counts: Mapping[str, float]) -> ProfiledLaunch:
    capability = re.fullmatch(r"(\d+)\.(\d+)", row.get("CC") or "")
    return ProfiledLaunch(
        row.get("Kernel Name") or None,
        extent(row.get("Grid Size")),
        extent(row.get("Block Size")),
        f"sm_{capability[1]}{capability[2]}" if capability else None,
        counts,
    )


def extent(text: str | None) -> Extent | None:
    """`(64, 1, 1)`."""
    numbers = [int(digits) for digits in re.findall(r"\d+", text or "")]
    return (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else None


def number(text: str) -> float | None:
    """`16,384` as a number; None for `n/a`."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None
