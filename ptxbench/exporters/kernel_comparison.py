"""Two kernels of files, launched on the same data and timed, as a part of the document of `ptxbench show`."""

from __future__ import annotations

from typing import Any

from ptxbench.exporters import outcome
from ptxbench.kernel_comparison import LaunchComparison
from ptxbench.kernel_timing import OTHER, KernelTiming
from ptxbench.metrics import BY_NAME, REFERENCE
from ptxbench.rival import rival_of, verdict

OUTCOME_KEYS = (
    "file", "language", "entry", "arch", "grid", "block", "cluster", "shared_bytes", "sanitize", "arguments", "status",
    "error", "findings", "notes", "unchecked", "printed", "order", "order_reason", "counters", "executed",
)  # fmt: skip
"""What is kept of an outcome of `ptxbench exec`: not its arrays, which are compared, and not its lines."""


def describe(comparison: LaunchComparison, timed: KernelTiming | None) -> dict[str, Any]:
    """The launches of two kernels, their outputs and their times."""
    documents = [outcome.describe(launched) for launched in comparison.outcomes]
    return {
        "status": comparison.status,
        "tolerance": comparison.closeness.describe,
        "kernels": [
            {"name": name, **{key: document[key] for key in OUTCOME_KEYS if key in document}}
            for name, document in zip(comparison.names, documents, strict=True)
        ],
        "arrays": [
            {
                "name": array.name,
                "type": array.type.name,
                "shape": list(array.shape),
                "changed": list(array.changed),
                "elements_with_other_bits": array.unlike,
                "elements_outside_tolerance": array.outside,
                "greatest_difference": array.greatest,
                "greatest_relative_difference": array.relative,
                "nan": list(array.nan),
                "nan_in_both": array.both_nan,
                "worst": None
                if array.worst is None
                else {"index": list(array.worst), "values": list(array.values or ())},
            }
            for array in comparison.arrays
        ],
        "timing": describe_times(timed) if timed else None,
    }


def describe_times(timed: KernelTiming) -> dict[str, Any]:
    """Seconds and their ratio; None for what was not measured."""
    cell = timed.cell
    seconds = [cell and BY_NAME["time"].of(cell, variant) for variant in (REFERENCE, OTHER)]
    rival = rival_of(cell, REFERENCE) if cell else None
    ratio = rival.ratio(cell.rounds, OTHER) if rival and cell else None
    return {
        "device": timed.device,
        "seconds": seconds,
        "ratio": None if ratio is None else {"low": ratio.low, "value": ratio.value, "high": ratio.high},
        "verdict": verdict(cell, OTHER, rival, timed.noise) if cell and rival and ratio else None,
        "labels": list(cell.labels) if cell else [],
        "problem": timed.problem,
    }
