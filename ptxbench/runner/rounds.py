"""Rounds in fresh processes, one after the other, and what they make together.

Samples of one process share its layout of memory and the history of its clock, so the round is the unit of
evidence. The parent never touches the device: a worker that dies costs the cell that it was at.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

from ptxbench.runner.events import CalibrationSaved, CellDone, DeviceLost, Event, Step
from ptxbench.runner.plan import RunPlan
from ptxbench.runner.round_results import CellKey, RoundResults, key_of
from ptxbench.runner.worker import Worker, WorkerDied, WorkerRequest, sendable


def run_rounds(plan: RunPlan) -> Iterator[Event]:
    """Every cell in every round, the control with them; then the cells, each with the rounds that it has."""
    results = RoundResults.of(plan)
    process = 1 + max((one.process for cell in plan.begun for one in cell.rounds), default=-1)
    for number in range(plan.first_round, plan.rounds):
        todo = results.shuffled(number)
        while todo:
            lost = yield from work(plan, results, todo, number, process)
            process += 1
            if lost:
                yield from results.finished()
                yield lost
                return
            todo = [cell for cell in todo if results.variants(cell)]
        yield CalibrationSaved(tuple(results.cells()))
    yield from results.finished()


def work(
    plan: RunPlan, results: RoundResults, todo: list[CellKey], number: int, process: int
) -> Generator[Event, None, DeviceLost | None]:
    """Have a worker do what is in `todo`, and remove what it did. Gives the end of the run, None if the run goes on."""
    waiting: CellDone | None = None  # until it is known that the device still works after it
    results.last = None
    request = WorkerRequest(results.items(todo), replace(sendable(plan), round_number=number, process=process))
    with Worker(request) as worker:
        try:
            for event in worker.events(plan.timeout):
                if isinstance(event, DeviceLost):
                    return results.attribute_loss(event)
                if waiting:
                    if lost := results.cleared(waiting.cell):
                        return lost
                    yield add_cell(results, todo, waiting)
                waiting = event if isinstance(event, CellDone) else None
                if isinstance(event, Step):
                    yield results.step(event)
        except WorkerDied as death:
            return results.attribute_failure(death)
    if waiting:
        if lost := results.cleared(waiting.cell):
            return lost
        yield add_cell(results, todo, waiting)
    return None


def add_cell(results: RoundResults, todo: list[CellKey], done: CellDone) -> CalibrationSaved:
    """Add a finished cell of a round, and give what is known after it."""
    results.add(done.cell)
    todo.remove(key_of(done.cell))
    return CalibrationSaved(tuple(results.cells()), whole=False)
