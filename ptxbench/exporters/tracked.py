"""The part of a run that a tracker stores: the times of verified variants if a verdict is possible, and the counters.

Trackers know a series by its name and have no place for a reason, so values without a verdict are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from ptxbench.errors import UsageError
from ptxbench.metrics import BY_NAME, Metric
from ptxbench.result import UNJUDGED, VERIFIED, Cell, RunDocument
from ptxbench.safe_text import code_text
from ptxbench.verdict.rules import RULES

COUNTERS = tuple(BY_NAME[name] for name in RULES if name in BY_NAME)
"""The metrics by which `ptxbench gate` judges without a GPU."""


def variants(run: RunDocument) -> Iterator[tuple[Cell, str]]:
    """Every verified variant of the run, except the control's.

    Raises UsageError if there is none: a tracker would take an empty file for a run without regressions.
    """
    verified = [
        (cell, name)
        for cell in run.cells
        for name, result in cell.variants.items()
        if result.status == VERIFIED and not cell.control
    ]
    if not verified:
        raise UsageError(f"Run {run.run.id} has no verified kernel: there is nothing to track.")
    yield from verified


def series(cell: Cell, variant: str, separator: str) -> str:
    """`triad/n=65536/ptx`: the variant's name, the same in every run; with the cache if it is not cold."""
    size = separator.join(f"{name}={value}" for name, value in cell.point.items())
    cache = [f"cache={cell.cache}"] if cell.cache != "cold" else []
    return code_text(separator.join([cell.pair, size, *cache, variant]))


def is_timed(cell: Cell) -> bool:
    """Whether times of the cell may be claimed."""
    return bool(cell.rounds) and UNJUDGED.isdisjoint(cell.labels)


def counts(cell: Cell, variant: str) -> Iterator[tuple[Metric, float]]:
    """The counters of a gate that the variant has."""
    for metric in COUNTERS:
        value = metric.of(cell, variant)
        if value is not None:
            yield metric, value


def rounded(value: float) -> float:
    """Rounded to nine digits: further digits of equal samples differ between machines."""
    return float(f"{value:.9g}")
