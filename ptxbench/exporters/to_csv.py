"""One row per variant of a cell, every metric in base units, for spreadsheets. Only JSON has the samples."""

from __future__ import annotations

from collections.abc import Iterator

from ptxbench.exporters.tables import csv_table
from ptxbench.metrics import METRICS
from ptxbench.result import Run
from ptxbench.units import size_words

HEADINGS = ("run", "pair", "size", "arch", "cache", "variant", "language", "status", "reason")


def export(run: Run) -> str:
    """The run as CSV."""
    metrics = [f"{metric.name} [{metric.unit}]" if metric.unit else metric.name for metric in METRICS]
    return csv_table([*HEADINGS, *metrics], rows(run))


def rows(run: Run) -> Iterator[list[object]]:
    for cell in run.cells:
        for name, result in cell.variants.items():
            kernel = [run.run.id, cell.pair, size_words(cell.point), cell.arch, cell.cache, name]
            outcome = [result.language, result.status, result.reason]
            yield [*kernel, *outcome, *(metric.of(cell, name) for metric in METRICS)]
