"""The control of a run: one kernel against itself, in every round. It shows whether the run can measure a
difference."""

from __future__ import annotations

from math import log1p
from statistics import median

from ptxbench import stats
from ptxbench.metrics import REFERENCE
from ptxbench.result import BIASED, RunDocument

CONTROL_OFF = "control_off"

LIMIT = 0.02
"""The ratio of a kernel to itself must be within 1.00 +- 2 %, because a regression must prove half a budget of 5 %."""

UNTRUSTED = {
    BIASED: "the run's control, one kernel against itself, seems to differ",
    CONTROL_OFF: "the run's control, one kernel against itself, is off by more than 2 %",
}
"""Why a difference of times cannot be trusted, in words: the reason of every row."""


def untrusted_reason(*runs: RunDocument) -> str | None:
    """Why no difference of times in these runs can be trusted: BIASED or CONTROL_OFF; None if they can.

    BIASED was found by the run itself, by an interval. CONTROL_OFF uses the median of the rounds: a control so
    noisy that its interval contains 0 says nothing about the other kernels.
    """
    if any(BIASED in cell.labels for run in runs for cell in run.cells):
        return BIASED
    return CONTROL_OFF if any(abs(off) > log1p(LIMIT) for run in runs for off in offsets(run)) else None


def offsets(run: RunDocument) -> list[float]:
    """The log ratio of each control."""
    logs = [
        stats.round_log_ratios(cell.rounds, variant, REFERENCE)
        for cell in run.cells
        if cell.control
        for variant in cell.variants
        if variant != REFERENCE
    ]
    return [median(log) for log in logs if log]
