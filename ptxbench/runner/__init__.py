"""The story of a run: build, verify, count or measure, record. Prints nothing and keeps nothing between runs."""

from ptxbench.runner.document import Frame, document
from ptxbench.runner.events import CellDone, DeviceLost, Event, Step
from ptxbench.runner.plan import ALL, Job, Plan, plan_jobs
from ptxbench.runner.story import run

__all__ = [
    "ALL",
    "CellDone",
    "DeviceLost",
    "Event",
    "Frame",
    "Job",
    "Plan",
    "Step",
    "document",
    "plan_jobs",
    "run",
]
