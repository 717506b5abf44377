"""JSON for the action github-action-benchmark, `tool: customSmallerIsBetter`.

From a GPU it has the ratios, in which clocks and heat cancel; without one, the counters that `ptxbench gate` judges and
that are better if lower. The format: github.com/benchmark-action/github-action-benchmark, "Examples".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ptxbench.documents import json_text
from ptxbench.errors import UsageError
from ptxbench.exporters.tracked import counts, is_timed, rounded, series, variants
from ptxbench.metrics import BY_NAME, REFERENCE
from ptxbench.result import Cell, RunDocument
from ptxbench.safe_text import code_text
from ptxbench.units import si


def export(run: RunDocument) -> str:
    """The run as an array of benchmarks. Raises UsageError if it has none."""
    timed = any(cell.rounds for cell in run.cells)
    benchmarks = list(ratios(run) if timed else counters(run))
    if not benchmarks:
        raise UsageError(f"Run {run.run.id} has no valid ratio to track.")
    return json_text(benchmarks)


def ratios(run: RunDocument) -> Iterator[Mapping[str, Any]]:
    """For each variant its time over that of the reference, with half of the 99 % interval."""
    ratio, time = BY_NAME["ratio"], BY_NAME["time"]
    for cell, variant in variants(run):
        value = ratio.of(cell, variant)
        if variant == REFERENCE or value is None or not is_timed(cell):
            continue
        ends = ratio.interval(cell, variant, cell.variants[variant]) if ratio.interval else None
        yield {
            "name": name(cell, variant, run),
            "unit": code_text(f"{variant}/{REFERENCE}"),
            "value": rounded(value),
            **({"range": f"± {(ends[1] - ends[0]) / 2:.4f}"} if ends else {}),
            "extra": extra(run, *(f"{name} {si(time.of(cell, name), 's')}" for name in (REFERENCE, variant))),
        }


def counters(run: RunDocument) -> Iterator[Mapping[str, Any]]:
    for cell, variant in variants(run):
        for metric, value in counts(cell, variant):
            if metric.better == "lower":
                yield {
                    "name": f"{name(cell, variant, run)}: {metric.name}",
                    "unit": metric.unit or "count",
                    "value": value,
                    "extra": extra(run, metric.description),
                }


def name(cell: Cell, variant: str, run: RunDocument) -> str:
    """The name of a benchmark. It contains the device, because the action compares everything with equal names."""
    return f"{series(cell, variant, ' ')} on {code_text(run.device.name)}"


def extra(run: RunDocument, *lines: str) -> str:
    origin = f"run {run.run.id}, ptxas {run.toolchain.ptxas or 'unknown'}"
    return "\n".join(code_text(line) for line in (*lines, origin))
