"""Whole runs with workers on a simulated device that fails: the run ends, saves results, and blames no other variant.

In one process, with many more statuses: test_faults.py.
"""

import json
import os
import signal
from contextlib import contextmanager
from functools import partial

import pytest

from ptxbench.measure import SamplingSettings
from ptxbench.result import BROKEN, SKIPPED, VERIFIED, WRONG
from ptxbench.runner import RunPlan
from tests import simulated
from tests.folders import CUDA, PAIR, PTX, kernels_folder

QUICK = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(8,), solo=0)
PAIRS = ("first", "scale", "third")
PLACES = 20
ENDLESS_SECONDS = 4
"""Seconds after which a worker without progress is ended."""

# name: the fault, its exit statuses in docs/measuring.md, and whether a kernel may be blamed
FAULTS = {
    "hang":          ({"does": "hang"},             {0, 4, 5}, True),
    "exit":          ({"does": "exit"},             {0, 4, 5}, True),
    "trap":          ({"status": 719},              {0, 4, 5}, True),
    "unknown":       ({"status": 999},              {0, 4, 5}, True),
    "gone":          ({"does": "gone", "status": 46},  {5},       False),
    "busy":          ({"status": 46},               {0, 5},    False),
    "ECC":           ({"status": 214},              {0, 5},    False),
    "out of memory": ({"status": 2},                {0, 5},    False),
    "no JIT":        ({"status": 221},              {0, 5},    False),
}  # fmt: skip


@pytest.fixture(scope="session")
def launches(tmp_path_factory):
    return tmp_path_factory.mktemp("launches")


@pytest.fixture
def run_on(tmp_path, monkeypatch, ptxbench, launches, shared_cache):
    """A run of three small pairs on a device with these faults: the exit status, and the document that it saved."""
    monkeypatch.setenv("PTXBENCH_CACHE", str(shared_cache))
    monkeypatch.chdir(tmp_path)
    for name in PAIRS:
        kernels_folder(
            tmp_path,
            name=name,
            pair=PAIR.replace("1 << k) for k in (10, 12)", "1 << k) for k in (20,)").replace(
                "(1, 127, 128, 129)", "(129,)"
            ),
            cuda=CUDA.replace("scale(", f"{name}("),
            ptx=PTX.replace("scale(", f"{name}("),
        )
    monkeypatch.setattr("ptxbench.runner.RunPlan", partial(RunPlan, settings=QUICK))

    def run_on(*faults, timeout=60, rounds=1):
        folder = tmp_path / f"device {len(list(tmp_path.iterdir()))}"
        with pytest.MonkeyPatch.context() as patch:
            simulated.install(
                patch, folder, device="small", launches=str(launches), control_n=1 << 20, faults=list(faults)
            )
            results = folder / "results"
            arguments = ("--kernels", "kernels", "--results", results, "--rounds", rounds, "--timeout", timeout)
            ran = ptxbench("run", *arguments)
        run_on.calls = lambda: json.loads((folder / "shared.json").read_text())["*"]  # type: ignore[attr-defined]  # asked after the run
        saved = list(results.rglob("*.json"))
        return ran, json.loads(saved[0].read_text()) if saved else None

    return run_on


@contextmanager
def patience(seconds=200):
    """A run that does not end fails its test."""

    def give_up(*arguments):
        pytest.fail("the run did not end")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def calls():
    """How many calls of CUDA a run without faults makes, once it is known."""
    return []


def judge(name, at, run_on):
    """The errors in how a run handled a fault at its call number `at`; empty if it was right.

    The first call asks whether there is a device that works: without one there is no run, and the exit status is 2.
    """
    fault, statuses, blames = FAULTS[name]
    statuses = {2} if at == 1 else statuses
    with patience():
        ran, document = run_on({"call": "*", "at": at, "of_run": True, **fault}, timeout=ENDLESS_SECONDS)
    message = f"{name} at call {at}: exit status {ran.status}; {ran.err}"
    if ran.status not in statuses:
        yield message
    if "Traceback" in ran.err:
        yield message
    if document is None:
        if ran.status in (0, 4):
            yield f"{message}: nothing was saved"
        return
    cells = [cell for cell in document["cells"] if not cell["control"]]
    if ran.status in (0, 4) and sorted(cell["pair"] for cell in cells) != sorted(PAIRS):
        yield f"{message}: only {[cell['pair'] for cell in cells]}"
    statuses_of = {
        (cell["pair"], variant): result["status"] for cell in cells for variant, result in cell["variants"].items()
    }
    broken = [who for who, status in statuses_of.items() if status in (BROKEN, WRONG)]
    if len(broken) > (1 if blames else 0):
        yield f"{message}: {broken} are blamed"
    if not set(statuses_of.values()) <= {VERIFIED, SKIPPED, BROKEN}:
        yield f"{message}: {statuses_of}"


def places(run_on, calls):
    if not calls:
        ran, document = run_on({"call": "*", "at": 1 << 40, "of_run": True})
        assert ran.status == 0, ran.err
        assert {result["status"] for cell in document["cells"] for result in cell["variants"].values()} == {VERIFIED}
        calls.append(run_on.calls())
    return [1 + i * calls[0] // PLACES for i in range(PLACES)]


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
def test_no_fault_at_any_call_has_unnecessary_effects(name, run_on, calls):
    """Two of the positions; all twenty with PTXBENCH_ALL_FAULTS=1, which takes half an hour."""
    step = 1 if os.environ.get("PTXBENCH_ALL_FAULTS") == "1" else 10
    first = 1 if name in ("hang", "exit") else 0  # the first call is made by the run itself, in no worker
    assert [fault for at in places(run_on, calls)[first::step] for fault in judge(name, at, run_on)] == []
