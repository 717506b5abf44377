"""The story of a run: build, verify, count or measure, record. Prints nothing and keeps nothing between runs."""

from collections.abc import Iterator

from ptxbench.runner.control import noise
from ptxbench.runner.document import Frame, document
from ptxbench.runner.events import CellDone, DeviceLost, Event, Kept, Step
from ptxbench.runner.plan import ALL, Job, Plan, plan_jobs
from ptxbench.runner.rounds import run_rounds
from ptxbench.runner.story import run


def carry_out(plan: Plan) -> Iterator[Event]:
    """The run that `plan` says: in rounds of fresh processes where the backend's kernels may end theirs."""
    return run_rounds(plan) if plan.backend.isolated else run(plan)


__all__ = [
    "ALL",
    "CellDone",
    "DeviceLost",
    "Event",
    "Frame",
    "Job",
    "Kept",
    "Plan",
    "Step",
    "carry_out",
    "document",
    "noise",
    "plan_jobs",
    "run",
]
