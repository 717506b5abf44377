"""A timed run whose pairs are done by several GPUs: what is kept of each task, and in which order."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench.errors import MachineError
from ptxbench.result import BROKEN
from ptxbench.run_info import COMPLETE, DEVICE_LOST, INTERRUPTED, TimedOn
from ptxbench.runner import CellDone, DeviceLost, ResultsSoFar, RunFrame, RunOutcome, RunPlan, Step, gpus
from ptxbench.runner.control import CONTROL
from ptxbench.runner.events import Gpu
from ptxbench.runner.gpus import TimedPair, time_on, time_pair, widest
from ptxbench.runner.plan import plan_pairs
from ptxbench.runner.worker import WorkerRequest, WorkItem, sendable
from tests.folders import CUDA, PTX, kernels_folder
from tests.runs import GPU, Kernel, Sampling, cell

NAMES = ("first", "second", "third")
KNOWN = replace(GPU, uuid_hash=None)
STEPS = 2 * (1 + 1 + 1) + 3 * (1 + 8 + 2)
"""In a round: builds, checks and own sizes of the two variants of the control, and of the three of a pair."""


def control(us=1.0, **options):
    """A control whose copy takes `us` in place of 1 us."""
    kernels = {"cuda": Kernel(1.0), "ptx": Kernel(us, **options)}
    return replace(cell(np.random.default_rng(1), CONTROL, {"n": 64}, kernels, Sampling(rounds=2)), control=True)


def timed(name, host, number, lost=None, us=1.0):
    """What a GPU returns for a pair of two sizes, in two rounds."""
    kernels = {"cuda": Kernel(9.0), "ptx": Kernel(8.0)}
    cells = [cell(np.random.default_rng(1), name, {"n": n}, kernels, Sampling(rounds=2)) for n in (1, 2)]
    cells = [
        replace(timed, rounds=[replace(timed_round, process=timed_round.round) for timed_round in timed.rounds])
        for timed in cells
    ]
    return TimedPair((control(us), *cells), Gpu(host, number), lost)


class Machines:
    """A pool whose tasks are finished in this order, with these results; an error is raised in its turn.

    A list has the results that a task reports after its rounds.
    """

    def __init__(self, results):
        self.results = results

    def map(self, work, tasks, on_report, *, gpu):
        assert gpu
        assert [task.items[0].pair for task in tasks] == list(NAMES)
        for number, result in self.results:
            if isinstance(result, BaseException):
                raise result
            if isinstance(result, list):
                on_report(number, *result)
                continue
            on_report(number, Step(0, 1, NAMES[number], "ptx", "measure"))
            yield number, result


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    for name in NAMES:
        kernels = kernels_folder(
            folder, name=name, cuda=CUDA.replace("scale(", f"{name}("), ptx=PTX.replace("scale(", f"{name}(")
        )
    pair_plans, _ = plan_pairs(kernels, emulated=False)
    backend = SimpleNamespace(name="gpu", isolated=True, device=lambda: KNOWN)
    return RunPlan(pair_plans, backend, "sm_90", kernels, rounds=2)


LOST = DeviceLost("b: an ECC error.")

# what the tasks return, in which order; the status, the pairs of the document, the GPUs and the hosts
RUNS = {
    "all are done": (
        [(2, timed("third", "a", "1")), (0, timed("first", "b", "2")), (1, timed("second", "a", "1"))],
        COMPLETE, NAMES, (2, 2),
    ),
    "two GPUs of one host": (
        [(0, timed("first", "a", "1")), (1, timed("second", "a", "2")), (2, timed("third", "a", "2"))],
        COMPLETE, NAMES, (2, 1),
    ),
    "a GPU is lost, and the third is not awaited": (
        [(0, timed("first", "a", "1")), (1, TimedPair((), Gpu("b", "2"), LOST)), (2, timed("third", "a", "1"))],
        DEVICE_LOST, ("first",), (2, 2),
    ),
    "a GPU does not even report its name": ([(0, TimedPair((), None, LOST))], DEVICE_LOST, (), None),
    "Ctrl-C": ([(1, timed("second", "a", "1")), (0, KeyboardInterrupt())], INTERRUPTED, ("second",), (1, 1)),
    "Ctrl-C after a round of a pair": (
        [(0, [timed("first", "b", "2")]), (1, timed("second", "a", "1")), (2, KeyboardInterrupt())],
        INTERRUPTED, ("first", "second"), (2, 2),
    ),
    "a worker is lost after a round": (
        [(0, [timed("first", "b", "2")]), (0, timed("first", "a", "1")), (1, timed("second", "a", "1")),
         (2, timed("third", "a", "1"))],
        COMPLETE, NAMES, (1, 1),
    ),
    "a round is told after the result": (
        [(0, timed("first", "a", "1")), (0, [timed("first", "b", "2")]), (1, timed("second", "a", "1")),
         (2, timed("third", "a", "1"))],
        COMPLETE, NAMES, (1, 1),
    ),
    "no workers": ([(2, timed("third", "a", "1")), (0, MachineError("gone"))], INTERRUPTED, ("third",), (1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("what", RUNS)
def test_the_finished_pairs_are_saved_in_order_with_their_gpus(what, plan):
    results, status, names, counts = RUNS[what]
    outcome, shown, ordered = RunOutcome(), [], []
    try:
        for event in time_on(Machines(results), plan, shown.append):
            outcome.add(event)
            if isinstance(event, CellDone) and not event.cell.control:
                ordered.append((event.cell.pair, event.cell.size["n"], event.last))
    except (KeyboardInterrupt, MachineError):
        outcome.interrupt()
    assert outcome.status == status
    assert outcome.lost == (LOST.reason if status == DEVICE_LOST else None)
    assert ordered == [(name, n, n == 2) for name in names for n in (1, 2)]
    assert [timed.control for timed in outcome.cells] == ([True] + [False] * 2 * len(names) if names else [])
    frame = RunFrame(plan, KNOWN).on(outcome.gpus)
    assert frame.timed_on == (counts and TimedOn(*counts))
    assert frame.device.uuid_hash == ("1" if counts == (1, 1) else None)
    assert {step.total for step in shown} <= {3 * 2 * STEPS}


def test_each_pair_has_processes_of_its_own(plan):
    results = [(number, timed(name, "a", "1")) for number, name in reversed(list(enumerate(NAMES)))]
    cells = [event.cell for event in time_on(Machines(results), plan) if isinstance(event, CellDone)]
    processes = {
        timed.pair: [timed_round.process for timed_round in timed.rounds] for timed in cells if not timed.control
    }
    assert processes == {"first": [0, 1], "second": [2, 3], "third": [4, 5]}


def test_the_control_of_the_run_is_the_one_that_differs_most_from_itself(plan):
    results = [
        (n, timed(name, "a", "1", us=us)) for n, (name, us) in enumerate(zip(NAMES, (1, 0.9, 1.05), strict=True))
    ]
    [control_cell] = [
        event.cell for event in time_on(Machines(results), plan) if isinstance(event, CellDone) and event.cell.control
    ]
    assert [timed_round.ns for timed_round in control_cell.rounds] == [
        timed_round.ns for timed_round in control(0.9).rounds
    ]


def test_a_failed_control_is_saved_in_preference_to_others():
    failed = control(None, status=BROKEN)
    assert widest([control(0.5), failed, control(2.0)]) is failed
    assert widest([]) is None


def test_only_a_control_is_the_control_of_the_run():
    pair = timed("first", "a", "1")
    broken = cell(np.random.default_rng(1), "first", {"n": 3}, {"cuda": Kernel(9.0), "ptx": Kernel(status=BROKEN)})
    for control_cells, rest in ((pair.cells[:1], [CONTROL]), ((), [])):
        complete = replace(pair, cells=(*control_cells, *pair.cells[1:], broken))
        shown = [event.cell.pair for event in gpus.events({0: complete}) if isinstance(event, CellDone)]
        assert shown == [*rest, "first", "first", "first"]


def request_of(plan, device):
    item = WorkItem.of(plan.pair_plans[0], plan.pair_plans[0].sizes)
    backend = SimpleNamespace(name="gpu", isolated=True, device=device)
    return WorkerRequest((item,), replace(sendable(plan), backend=backend))


def test_a_task_names_the_host_of_a_gpu_that_is_lost(plan, monkeypatch):
    one = timed("first", "a", "1").cells[1]
    step, half, complete = (
        Step(0, 2, "first", "ptx", "measure"),
        ResultsSoFar((), whole=False),
        ResultsSoFar((one,)),
    )
    happened = [step, half, complete, CellDone(one, last=True), DeviceLost("An ECC error.", ("ptx",))]
    requested, reported = [], []
    monkeypatch.setattr(gpus, "run_rounds", lambda plan: requested.append(plan) or iter(happened))
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    result = time_pair(request_of(plan, lambda: GPU), reported.append)
    lost = DeviceLost("node7: An ECC error.", ("ptx",))
    assert result == TimedPair((one,), Gpu("node7", GPU.uuid_hash), lost)
    assert reported == [step, TimedPair((one,), Gpu("node7", GPU.uuid_hash))]
    [[pair_plan]] = [plan.pair_plans for plan in requested]
    assert pair_plan.sizes == plan.pair_plans[0].sizes
    assert [source.variant for source in pair_plan.sources] == [s.variant for s in plan.pair_plans[0].sources]


def test_a_gpu_that_cannot_be_described_is_lost(plan, monkeypatch):
    def gone():
        raise MachineError("No CUDA-capable device is detected.")

    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    lost = DeviceLost("node7: No CUDA-capable device is detected.")
    assert time_pair(request_of(plan, gone), [].append) == TimedPair((), None, lost)
