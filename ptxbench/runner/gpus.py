"""A timed run whose pairs are done by several GPUs of other machines.

A pair with all its sizes is one task: one GPU times it in all rounds, each in a process of its own, next to the A/A
control. So every comparison inside a pair is between times of the same GPU, and a control that is biased on it labels
the pair.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

from ptxbench.device_shape import DeviceShape
from ptxbench.errors import MachineError
from ptxbench.pool import GpuPool, Reporter
from ptxbench.result import VERIFIED, Cell
from ptxbench.runner.cell_tasks import RunProgress
from ptxbench.runner.control import control_plan, noise
from ptxbench.runner.events import CellDone, DeviceLost, Event, Gpu, ResultsSoFar, Step, TimedBy
from ptxbench.runner.plan import RunPlan
from ptxbench.runner.rounds import run_rounds
from ptxbench.runner.session import steps
from ptxbench.runner.worker import WorkerRequest, WorkItem, plan_of, sendable


@dataclass(frozen=True)
class TimedPair:
    """The cells of one pair with the control, the GPU that timed them, and why it was lost."""

    cells: tuple[Cell, ...]
    gpu: Gpu | None
    lost: DeviceLost | None = None


def time_on(pool: GpuPool, plan: RunPlan, show: Callable[[Step], None] = lambda step: None) -> Iterator[Event]:
    """Time the pairs of `plan`; `show` gets the steps of all. The cells come at the end, in the order of the plan.

    If a GPU is lost, the run ends, as it does on one machine. Finished pairs are kept, and the complete rounds of the
    other pairs.
    """
    shared = sendable(plan)
    requests = [WorkerRequest((WorkItem.of(pair_plan, pair_plan.sizes),), shared) for pair_plan in plan.pair_plans]
    totals = [plan.rounds * (steps(control_plan()) + steps(pair_plan)) for pair_plan in plan.pair_plans]
    progress = RunProgress(totals, show)
    reported: dict[int, TimedPair] = {}  # the last complete rounds; reports may come after the result
    done: dict[int, TimedPair] = {}

    def on_report(number: int, report: Step | TimedPair) -> None:
        if isinstance(report, Step):
            progress.on_report(number, report)
        else:
            reported[number] = report

    try:
        with closing(pool.map(time_pair, requests, on_report, gpu=True)) as results:
            for number, timed in results:
                done[number] = timed
                progress.finish(number)
                if timed.lost:
                    break
    except (Exception, KeyboardInterrupt):
        yield from events({**reported, **done})
        raise
    yield from events({**reported, **done})


def time_pair(request: WorkerRequest, report: Reporter) -> TimedPair:
    """Time the only pair of a request, on this machine's GPU; reports its steps, and after each round its cells."""
    try:
        device = request.plan.backend.device()
    except MachineError as error:
        return TimedPair((), None, DeviceLost(f"{socket.gethostname()}: {error}"))
    gpu = Gpu(socket.gethostname(), device.uuid_hash)
    cells: list[Cell] = []
    lost = None
    for event in run_rounds(plan_of(request, DeviceShape.of(device))):
        if isinstance(event, Step):
            report(event)
        elif isinstance(event, ResultsSoFar) and event.whole:
            report(TimedPair(event.cells, gpu))
        elif isinstance(event, CellDone):
            cells.append(event.cell)
        elif isinstance(event, DeviceLost):
            lost = replace(event, reason=f"{gpu.host}: {event.reason}")
    return TimedPair(tuple(cells), gpu, lost)


def events(timed_pairs: Mapping[int, TimedPair]) -> Iterator[Event]:
    """The GPUs, the control, the cells of each pair, and the loss of a GPU."""
    timed = numbered(timed_pairs)
    if gpus := frozenset(pair.gpu for pair in timed if pair.gpu):
        yield TimedBy(gpus)
    if (control := widest(cell for pair in timed for cell in pair.cells if cell.control)) is not None:
        yield CellDone(control, last=True)
    for pair in timed:
        pair_cells = [cell for cell in pair.cells if not cell.control]
        for cell in pair_cells:
            yield CellDone(cell, last=cell is pair_cells[-1])
    yield from (pair.lost for pair in timed if pair.lost)


def numbered(timed_pairs: Mapping[int, TimedPair]) -> list[TimedPair]:
    """The pairs in their order, with their processes numbered through the whole run: each task counts from 0."""
    first = 0
    renumbered = []
    for _, timed in sorted(timed_pairs.items()):
        cells = [
            replace(
                cell, rounds=[replace(timed_round, process=first + timed_round.process) for timed_round in cell.rounds]
            )
            for cell in timed.cells
        ]
        renumbered.append(replace(timed, cells=tuple(cells)))
        first = 1 + max((timed_round.process for cell in cells for timed_round in cell.rounds), default=first - 1)
    return renumbered


def widest(controls: Iterable[Cell]) -> Cell | None:
    """The control of the run: among the controls of all pairs, the one whose interval reaches furthest from no
    difference.

    A verdict must exceed the noise of the control; with this one it exceeds the noise of every GPU and every task.
    """
    return max(controls, key=noise_reach, default=None)


def noise_reach(control: Cell) -> tuple[bool, float]:
    """How far the interval of a control reaches from no difference, as a key for sorting. A control that is not
    verified comes last, because its run cannot end well; one without times comes first."""
    interval = noise([control])
    bad = any(result.status != VERIFIED for result in control.variants.values())
    return bad, max(abs(interval.low), abs(interval.high)) if interval else -1.0
