"""The canary of a run: one kernel against itself, in every round. It says whether the run can measure a difference."""

from __future__ import annotations

from math import log1p
from statistics import median

from ptxbench import stats
from ptxbench.metrics import REFERENCE
from ptxbench.result import BIASED, Run

CONTROL_OFF = "control_off"

LIMIT = 0.02
"""The ratio of a kernel to itself lies within 1.00 +- 2 %: half a budget of 5 % is what a regression must prove."""

DISTRUSTED = {
    BIASED: "the control of a run, one kernel against itself, seems to differ",
    CONTROL_OFF: "the control of a run, one kernel against itself, is off by more than 2 %",
}
"""Why a difference of times cannot be believed, in words: the reason of every row."""


def distrust(*runs: Run) -> str | None:
    """Why no difference of times in these runs can be believed: BIASED or CONTROL_OFF; None where they can.

    BIASED is what the run found itself, by an interval. CONTROL_OFF goes by the median of the rounds: a control so
    noisy that its interval holds 0 says as little of the other kernels.
    """
    if any(BIASED in cell.labels for run in runs for cell in run.cells):
        return BIASED
    return CONTROL_OFF if any(abs(off) > log1p(LIMIT) for run in runs for off in offsets(run)) else None


def offsets(run: Run) -> list[float]:
    """The log ratio of each control."""
    logs = [
        stats.round_log_ratios(cell.rounds, variant, REFERENCE)
        for cell in run.cells
        if cell.control
        for variant in cell.variants
        if variant != REFERENCE
    ]
    return [median(each) for each in logs if each]
