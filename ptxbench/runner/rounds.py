"""Rounds in fresh processes, one after the other, and what they make together.

Samples of one process share its layout of memory and the history of its clock, so that the round is the unit of
evidence. The parent never touches the device: a worker that dies costs the cell that it was at.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from ptxbench.runner.events import CellDone, DeviceLost, Event, Kept, Step
from ptxbench.runner.ledger import Key, Ledger, key_of
from ptxbench.runner.plan import Plan
from ptxbench.runner.worker import Task, Worker, WorkerDied


def run_rounds(plan: Plan) -> Iterator[Event]:
    """Every cell in every round, the control with them; then the cells, each with the rounds that it has."""
    ledger = Ledger.of(plan)
    process = 1 + max((one.process for cell in plan.begun for one in cell.rounds), default=-1)
    for number in range(plan.first_round, plan.rounds):
        todo = ledger.shuffled(number)
        while todo:
            lost = yield from work(plan, ledger, todo, number, process)
            process += 1
            if lost:
                yield from ledger.finished()
                yield lost
                return
            todo = [each for each in todo if ledger.variants(each)]
        yield Kept(tuple(ledger.cells()))
    yield from ledger.finished()


def work(
    plan: Plan, ledger: Ledger, todo: list[Key], number: int, process: int
) -> Generator[Event, None, DeviceLost | None]:
    """Have a worker do what is `todo`, and take out what it did; the end of the run, None where it can go on."""
    waiting: CellDone | None = None  # until it is known whether the device outlived it
    ledger.last = None
    task = Task(
        pieces=ledger.pieces(todo),
        backend=plan.backend,
        arch=plan.arch,
        kernels=plan.kernels,
        assembler=plan.assembler,
        seed=plan.seed,
        settings=plan.settings,
        round_number=number,
        process=process,
        calibration=plan.calibration,
        renewed=plan.renewed,
        cache=plan.cache,
    )
    with Worker(task) as worker:
        try:
            for event in worker.events(plan.cell_timeout):
                if isinstance(event, DeviceLost):
                    return ledger.blame_lost(event)
                if waiting:
                    if lost := ledger.cleared(waiting.cell):
                        return lost
                    yield take(ledger, todo, waiting)
                waiting = event if isinstance(event, CellDone) else None
                if isinstance(event, Step):
                    yield ledger.step(event)
        except WorkerDied as death:
            return ledger.blame(death)
    if waiting:
        if lost := ledger.cleared(waiting.cell):
            return lost
        yield take(ledger, todo, waiting)
    return None


def take(ledger: Ledger, todo: list[Key], done: CellDone) -> Kept:
    """Take a finished cell of a round; what is known after it."""
    ledger.add(done.cell)
    todo.remove(key_of(done.cell))
    return Kept(tuple(ledger.cells()), whole=False)
