"""Bencher Metric Format: JSON for `bencher run --adapter json`; its testbed is the device.

Measures are `ptx-over-cuda`, a ratio; `latency`, in nanoseconds as Bencher's own; and a gate's counters. The format:
bencher.dev/docs/reference/bencher-metric-format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptxbench import stats
from ptxbench.documents import json_text
from ptxbench.errors import UsageError
from ptxbench.exporters.tracked import counts, is_timed, rounded, series, variants
from ptxbench.metrics import BY_NAME, REFERENCE
from ptxbench.result import Cell, RunDocument
from ptxbench.safe_text import code_text


def export(run: RunDocument) -> str:
    """The run, one benchmark per verified variant. Raises UsageError if there is nothing to measure one by."""
    measured = {series(cell, variant, "/"): measures(cell, variant) for cell, variant in variants(run)}
    benchmarks = {name: numbers for name, numbers in measured.items() if numbers}
    if not benchmarks:
        raise UsageError(f"Run {run.run.id} has no valid number to track.")
    return json_text(benchmarks)


def measures(cell: Cell, variant: str) -> Mapping[str, Any]:
    timed = {}
    ratio = BY_NAME["ratio"]
    value = ratio.of(cell, variant) if is_timed(cell) and variant != REFERENCE else None
    if value is not None:
        ends = ratio.interval(cell, variant, cell.variants[variant]) if ratio.interval else None
        timed[code_text(f"{cell.variants[variant].language}-over-{REFERENCE}")] = metric(value, ends)
    nanoseconds = stats.median_ns(cell.rounds, variant) if is_timed(cell) else None
    if nanoseconds is not None:
        medians = stats.round_medians_ns(cell.rounds, variant)
        timed["latency"] = metric(nanoseconds, (min(medians), max(medians)))
    return timed | {counter.name.replace("_", "-"): metric(value) for counter, value in counts(cell, variant)}


def metric(value: float, ends: tuple[float, float] | None = None) -> Mapping[str, float]:
    """A value with its bounds: for a ratio the 99 % interval, for a time the least and greatest median of a round."""
    bounds = zip(("lower_value", "upper_value"), ends or (), strict=False)
    return {"value": rounded(value), **{name: rounded(end) for name, end in bounds}}
