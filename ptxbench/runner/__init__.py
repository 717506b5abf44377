"""A run: build, verify, count or measure, record. Prints nothing and keeps nothing between runs."""

from collections.abc import Callable, Iterator

from ptxbench.pool import GpuPool
from ptxbench.runner.cell_tasks import run_on
from ptxbench.runner.control import noise
from ptxbench.runner.document import RunFrame, document
from ptxbench.runner.events import CellDone, DeviceLost, Event, ResultsSoFar, Step
from ptxbench.runner.gpus import time_on
from ptxbench.runner.outcome import RunOutcome
from ptxbench.runner.plan import ALL, PairPlan, RunPlan, plan_pairs
from ptxbench.runner.rounds import run_rounds
from ptxbench.runner.session import run


def carry_out(
    plan: RunPlan, pool: GpuPool | None = None, show: Callable[[Step], None] = lambda step: None
) -> Iterator[Event]:
    """Do the run of `plan`: in rounds of fresh processes if the backend's kernels may crash theirs.

    `pool`: does the cells, or the pairs of a run that has times; `show` then gets the steps.
    """
    if pool is not None:
        return (time_on if plan.backend.isolated else run_on)(pool, plan, show)
    return run_rounds(plan) if plan.backend.isolated else run(plan)


__all__ = [
    "ALL",
    "CellDone",
    "DeviceLost",
    "Event",
    "PairPlan",
    "ResultsSoFar",
    "RunFrame",
    "RunOutcome",
    "RunPlan",
    "Step",
    "carry_out",
    "document",
    "noise",
    "plan_pairs",
    "run",
]
