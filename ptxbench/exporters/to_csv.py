"""One row a variant of a cell, every metric in base units, for spreadsheets. Samples are left to JSON."""

from __future__ import annotations

import csv
import io

from ptxbench.metrics import METRICS
from ptxbench.result import Run
from ptxbench.safe_text import csv_text
from ptxbench.units import size_words


def export(run: Run) -> str:
    """The run as CSV; a value that does not exist is an empty field."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    units = (f"{metric.name} [{metric.unit}]" if metric.unit else metric.name for metric in METRICS)
    rows.writerow(["run", "pair", "size", "arch", "cache", "variant", "language", "status", "reason", *units])
    for cell in run.cells:
        for name, result in cell.variants.items():
            place = [run.run.id, cell.pair, size_words(cell.point), cell.arch, cell.cache]
            state = [name, result.language, result.status, result.reason]
            rows.writerow(fields(*place, *state, *(metric.of(cell, name) for metric in METRICS)))
    return text.getvalue()


def fields(*values: object) -> list[object]:
    """The fields of a row: what is no number is no formula either."""
    return [each if each is None or isinstance(each, int | float) else csv_text(str(each)) for each in values]
