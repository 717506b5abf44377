"""A run whose cells are done by a pool, each by itself; then the cells in the order of the plan.

A cell counts the same wherever it is done, and whatever is done before it: only its build is verified once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from ptxbench.device_shape import DeviceShape
from ptxbench.pool import Pool, Tell
from ptxbench.result import Cell
from ptxbench.runner.events import CellDone, Event, Step
from ptxbench.runner.plan import RunPlan
from ptxbench.runner.session import run
from ptxbench.runner.worker import WorkerRequest, WorkItem, plan_of, sendable


def run_on(pool: Pool, plan: RunPlan, show: Callable[[Step], None] = lambda step: None) -> Iterator[Event]:
    """Do the cells of `plan`; `show` gets the steps of all cells. If it ends early, the finished cells come first."""
    items = [
        (WorkItem.of(pair_plan, size), last)
        for pair_plan in plan.pair_plans
        for size, last in zip(pair_plan.sizes, [*[False] * (len(pair_plan.sizes) - 1), True], strict=True)
    ]
    shared = sendable(plan)
    steps = Steps(len(items), show)
    done: dict[int, Cell] = {}
    next_number = 0
    with closing(pool.map(do_cell, [WorkerRequest((item,), shared) for item, _ in items], steps.hear)) as cells:
        try:
            for number, cell in cells:
                done[number] = cell
                steps.finish(number)
                while next_number in done:
                    yield CellDone(done[next_number], items[next_number][1])
                    next_number += 1
        except (Exception, KeyboardInterrupt):
            for number in sorted(done):
                if number >= next_number:
                    yield CellDone(done[number], items[number][1])
            raise


def do_cell(request: WorkerRequest, tell: Tell) -> Cell:
    """Do the only cell of a request; tells its steps."""
    cells = []
    for event in run(plan_of(request, DeviceShape.of(request.plan.backend.device()))):
        if isinstance(event, Step):
            tell(event)
        elif isinstance(event, CellDone):
            cells.append(event.cell)
    (cell,) = cells
    return cell


class Steps:
    """Progress over all cells: their steps, each cell as if it were as long as the one that is heard."""

    def __init__(self, cells: int, show: Callable[[Step], None]) -> None:
        self.cells = cells
        self.show = show
        self.shares: dict[int, float] = {}

    def hear(self, number: int, step: Step) -> None:
        if self.shares.get(number) == 1.0:
            return
        self.shares[number] = step.done / step.total
        done = round(sum(self.shares.values()) * step.total)
        self.show(Step(done, self.cells * step.total, step.pair, step.variant, step.phase, step.size, step.knobs))

    def finish(self, number: int) -> None:
        self.shares[number] = 1.0
