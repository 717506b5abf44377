"""One row per variant of a cell, every metric in base units, for spreadsheets. Only JSON has the samples."""

from __future__ import annotations

from ptxbench.exporters.records import records
from ptxbench.exporters.tables import csv_table
from ptxbench.metrics import METRICS
from ptxbench.result import RunDocument

HEADINGS = ("run", "pair", "size", "arch", "cache", "variant", "language", "status", "reason")


def export(run: RunDocument) -> str:
    metrics = [f"{metric.name} [{metric.unit}]" if metric.unit else metric.name for metric in METRICS]
    return csv_table([*HEADINGS, *metrics], ([*record.values()] for record in records(run)))
