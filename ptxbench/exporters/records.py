"""A run as rows of named values, one per variant of a cell: every metric in base units."""

from __future__ import annotations

from collections.abc import Iterator

from ptxbench.metrics import METRICS
from ptxbench.result import RunDocument
from ptxbench.units import size_words

Record = dict[str, object]


def records(run: RunDocument) -> Iterator[Record]:
    """Each row has the same keys, in the same order. A value that does not exist is None."""
    for cell in run.cells:
        for name, result in cell.variants.items():
            yield {
                "run": run.run.id,
                "pair": cell.pair,
                "size": size_words(cell.point),
                "arch": cell.arch,
                "cache": cell.cache,
                "variant": name,
                "language": result.language,
                "status": result.status,
                "reason": result.reason,
                **{metric.name: metric.of(cell, name) for metric in METRICS},
            }
