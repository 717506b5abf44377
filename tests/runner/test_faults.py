"""A run on the simulated device in which one call of CUDA fails, at many places: who is blamed, and what is kept.

In this process, as in a worker. That a run in several processes ends too: tests/runner/test_rounds.py.
"""

import gc
import json
import os
import sys

import pytest

from ptxbench.measure import SamplingSettings
from ptxbench.result import BROKEN, SKIPPED, VERIFIED
from ptxbench.runner import CellDone, DeviceLost, RunPlan, plan_pairs, run
from tests import simulated
from tests.folders import kernels_folder

BY_LAUNCH = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, stretch=1, looks=(8,), solo=1, tiny_ns=0)
"""Timed by launches, because graphs need more CUDA calls."""

KERNEL, MACHINE, LAUNCH = "kernel", "machine", "launch"

# status; who is blamed; whether the GPU is lost for the process
FAULTS = [
    (1, LAUNCH, False),
    (2, MACHINE, False),
    (46, MACHINE, True),
    (214, MACHINE, True),
    (226, MACHINE, True),
    (221, MACHINE, False),
    (700, KERNEL, True),
    (721, KERNEL, True),
    (999, LAUNCH, False),
]
PLACES = 20 if os.environ.get("PTXBENCH_ALL_FAULTS") == "1" else 10
SLICE = (2, 700, 214)
"""Statuses that every test run tries, at fewer places."""


@pytest.fixture(autouse=True)
def hook(monkeypatch):
    """Messages that a lost device suppresses are enabled again after the test."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    return kernels_folder(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def carried_out(kernels, tmp_path, monkeypatch):
    """Runs the pair `scale` at one size, or at `sizes`: its cells, and how the device was lost."""
    losses = []

    def carry_out(*, sizes=("n=1024",), settings=BY_LAUNCH, assembler="toolkit", device="T4", **script):
        simulated.install(monkeypatch, tmp_path / "gpu", device=device, **script)
        from ptxbench.backends.gpu import GpuBackend

        pair_plans, _ = plan_pairs(kernels, sizes=sizes, emulated=False)
        plan = RunPlan(pair_plans, GpuBackend(), "sm_75", kernels, settings=settings, assembler=assembler)
        events = list(run(plan))
        cells = [event.cell for event in events if isinstance(event, CellDone)]
        lost = [event for event in events if isinstance(event, DeviceLost)]
        losses.extend(lost)
        return cells, lost

    yield carry_out
    if losses:  # destructors fail on a lost device: here, and not in a later test
        gc.collect()


CALLS = 2750
"""The approximate number of calls in a run without a fault; the last positions are past its end."""


def places(count):
    return [2 + place * CALLS // count for place in range(count)]


def rows():
    for status, fault, lost in FAULTS:
        for number, at in enumerate(places(PLACES)):
            often = status in SLICE and number % 5 == 1
            yield pytest.param(status, fault, lost, at, marks=[] if often else [pytest.mark.long])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a destructor may fail
@pytest.mark.parametrize(("status", "fault", "lost", "at"), list(rows()))
def test_one_failing_call_has_no_unnecessary_effects(carried_out, status, fault, lost, at):
    cells, losses = carried_out(faults=[{"call": "*", "at": at, "status": status, "sticky": lost}])
    if not cells:  # the device did not even give its name
        assert [loss.suspects for loss in losses] == [()]
        return
    [cell] = cells
    statuses = {name: result.status for name, result in cell.variants.items()}
    reasons = [result.reason for result in cell.variants.values() if result.status != VERIFIED]
    broken = {name for name, reported in statuses.items() if reported == BROKEN}
    assert set(statuses.values()) <= {VERIFIED, SKIPPED, BROKEN}
    assert all(reason.count("\n") == 0 and reason.endswith((".", "place.")) for reason in reasons)
    assert len(broken) <= (fault != MACHINE)
    assert all(loss.suspects == () or broken <= set(loss.suspects) for loss in losses)
    if not losses:  # the others were measured all the same
        assert SKIPPED not in statuses.values() or fault == MACHINE or not cell.rounds
        verified = {name for name, reported in statuses.items() if reported == VERIFIED}
        assert len(verified) >= 2
        assert {name for timed_round in cell.rounds for name in timed_round.contrast} <= verified
        assert cell.rounds or "cuda" not in verified
    elif fault == MACHINE:
        assert losses[0].suspects == ()


def test_without_a_fault_everything_is_verified_and_timed(carried_out):
    [cell], losses = carried_out()
    assert losses == []
    assert {result.status for result in cell.variants.values()} == {VERIFIED}
    assert len(cell.rounds) == 2


def test_a_device_in_exclusive_mode_ends_the_run_and_breaks_no_kernel(carried_out, tmp_path):
    (tmp_path / "gpu").mkdir()
    (tmp_path / "gpu" / "shared.json").write_text(json.dumps({"contexts": [os.getppid()]}))
    [cell], [lost] = carried_out(exclusive=True)
    assert {result.status for result in cell.variants.values()} == {SKIPPED}
    assert lost.suspects == ()
    assert "cudaErrorDevicesUnavailable" in lost.reason
    assert lost.reason.endswith("see nvidia-smi, end the other process.")


def test_a_device_that_no_longer_works_is_not_blamed_on_the_next_kernel(carried_out):
    """As after a kernel that made the device unusable: this worker's first kernel is not the cause."""
    [cell], [lost] = carried_out(faults=[{"call": "cudaStreamCreateWithFlags", "times": 0, "status": 719}])
    assert {result.status for result in cell.variants.values()} == {SKIPPED}
    assert lost.suspects == ()
    assert lost.reason.startswith("the GPU: cudaErrorLaunchFailure")


def test_a_driver_without_a_compiler_skips_variants_that_need_it(carried_out):
    [cell], losses = carried_out(jit=False, assembler="driver")
    assert losses == []
    for result in cell.variants.values():
        assert result.status == SKIPPED
        assert result.reason.endswith("or run with --assembler toolkit.")


@pytest.mark.long
@pytest.mark.parametrize("at", [400, 800])
def test_a_launch_that_is_refused_in_a_capture_excludes_one_variant(carried_out, at):
    """The stream would stay in the capture, and every call on it would fail. Most launches are graph launches."""
    graphs = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, stretch=1, looks=(8,), solo=0)
    [cell], losses = carried_out(settings=graphs, faults=[{"call": "cuLaunchKernel", "at": at, "status": 701}])
    assert losses == []
    (broken,) = [name for name, result in cell.variants.items() if result.status != VERIFIED]
    assert "LAUNCH_OUT_OF_RESOURCES" in cell.variants[broken].reason
    assert broken == "cuda" or [timed_round.timing for timed_round in cell.rounds] == ["slope"]


@pytest.mark.parametrize("sizes", [("n=131072", "n=262144"), ("n=262144", "n=131072")])
def test_a_cell_has_as_much_memory_as_if_it_were_alone(carried_out, sizes):
    """Each fits alone, and not while the buffers of the other are held: 1 and 2 MB, and 0.1 for the flush."""
    device = {"like": "T4", "l2_bytes": 1 << 16, "memory_bytes": 2_700_000}
    cells, losses = carried_out(sizes=sizes, device=device)
    assert losses == []
    for cell in cells:
        assert {result.reason for result in cell.variants.values()} == {None}
        assert len(cell.rounds) == 2
    copies = {cell.size["n"]: {timed_round.copies for timed_round in cell.rounds} for cell in cells}
    assert copies == {131072: {1}, 262144: {1}}


def test_a_device_that_cannot_be_queried_is_an_error_of_the_machine(carried_out):
    cells, [lost] = carried_out(faults=[{"call": "cudaGetDeviceProperties", "status": 802}])
    assert cells == []
    assert lost.reason.startswith("the GPU: cudaErrorSystemNotReady: ")
    assert lost.suspects == ()
