"""A run whose cells are done by a pool, each by itself; then the cells in the order of the plan.

A cell counts the same wherever it is done, and whatever is done before it: only its build is verified once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from ptxbench.device_shape import DeviceShape
from ptxbench.pool import Pool, Reporter
from ptxbench.result import Cell
from ptxbench.runner.events import CellDone, Event, Step
from ptxbench.runner.plan import RunPlan
from ptxbench.runner.session import run, steps
from ptxbench.runner.worker import WorkerRequest, WorkItem, plan_of, sendable


def run_on(pool: Pool, plan: RunPlan, show: Callable[[Step], None] = lambda step: None) -> Iterator[Event]:
    """Do the cells of `plan`; `show` gets the steps of all cells. If it ends early, the finished cells come first."""
    cells = [(pair_plan, size) for pair_plan in plan.pair_plans for size in pair_plan.sizes]
    last = [size is pair_plan.sizes[-1] for pair_plan, size in cells]
    shared = sendable(plan)
    requests = [WorkerRequest((WorkItem.of(pair_plan, (size,)),), shared) for pair_plan, size in cells]
    progress = RunProgress([steps(pair_plan) for pair_plan, _ in cells], show)
    done: dict[int, Cell] = {}
    next_number = 0
    with closing(pool.map(do_cell, requests, progress.on_report)) as results:
        try:
            for number, cell in results:
                done[number] = cell
                progress.finish(number)
                while next_number in done:
                    yield CellDone(done[next_number], last[next_number])
                    next_number += 1
        except (Exception, KeyboardInterrupt):
            for number in sorted(done):
                if number >= next_number:
                    yield CellDone(done[number], last[number])
            raise


def do_cell(request: WorkerRequest, report: Reporter) -> Cell:
    """Do the only cell of a request; reports its steps."""
    cells = []
    for event in run(plan_of(request, DeviceShape.of(request.plan.backend.device()))):
        if isinstance(event, Step):
            report(event)
        elif isinstance(event, CellDone):
            cells.append(event.cell)
    (cell,) = cells
    return cell


class RunProgress:
    """The progress of all cells: how many steps each has done of `totals`, which are those of the plan."""

    def __init__(self, totals: Sequence[int], show: Callable[[Step], None]) -> None:
        self.totals = totals
        self.show = show
        self.done = [0] * len(totals)

    def on_report(self, number: int, step: Step) -> None:
        self.done[number] = max(self.done[number], step.done)  # if a worker is lost, another one starts the cell again
        self.show(replace(step, done=sum(self.done), total=sum(self.totals)))

    def finish(self, number: int) -> None:
        self.done[number] = self.totals[number]
