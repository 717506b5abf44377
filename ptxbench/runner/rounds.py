"""Rounds in fresh processes, one after the other, and their combined results.

Samples of one process share its layout of memory and the history of its clock, so the round is the unit of evidence.
The parent never uses the device: a worker that dies loses only its current cell.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

from ptxbench.runner.events import CellDone, DeviceLost, Event, ResultsSoFar, Step
from ptxbench.runner.plan import RunPlan
from ptxbench.runner.round_results import CellKey, RoundResults, key_of
from ptxbench.runner.worker import Worker, WorkerDied, WorkerRequest, sendable


def run_rounds(plan: RunPlan) -> Iterator[Event]:
    """Every cell in every round, with the control; then the cells, each with its rounds."""
    results = RoundResults.of(plan)
    process = 1 + max((timed_round.process for cell in plan.begun for timed_round in cell.rounds), default=-1)
    for number in range(plan.first_round, plan.rounds):
        remaining = results.shuffled(number)
        while remaining:
            lost = yield from run_worker(plan, results, remaining, number, process)
            process += 1
            if lost:
                yield from results.finished()
                yield lost
                return
            remaining = [cell for cell in remaining if results.variants(cell)]
        yield ResultsSoFar(tuple(results.cells()))
    yield from results.finished()


def run_worker(
    plan: RunPlan, results: RoundResults, remaining: list[CellKey], number: int, process: int
) -> Generator[Event, None, DeviceLost | None]:
    """Let a worker do the cells in `remaining`, and remove those that are done.

    Returns the end of the run; None if the run continues.
    """
    waiting: CellDone | None = None  # until it is known that the device still works
    results.last = None
    request = WorkerRequest(results.items(remaining), replace(sendable(plan), round_number=number, process=process))
    with Worker(request) as worker:
        try:
            for event in worker.events(plan.timeout):
                if isinstance(event, DeviceLost):
                    return results.attribute_loss(event)
                if waiting:
                    if lost := results.cleared(waiting.cell):
                        return lost
                    yield add_cell(results, remaining, waiting)
                waiting = event if isinstance(event, CellDone) else None
                if isinstance(event, Step):
                    yield results.step(event)
        except WorkerDied as death:
            return results.attribute_failure(death)
    if waiting:
        if lost := results.cleared(waiting.cell):
            return lost
        yield add_cell(results, remaining, waiting)
    return None


def add_cell(results: RoundResults, remaining: list[CellKey], done: CellDone) -> ResultsSoFar:
    """Add a finished cell of a round, and return the present results."""
    results.add(done.cell)
    remaining.remove(key_of(done.cell))
    return ResultsSoFar(tuple(results.cells()), whole=False)
