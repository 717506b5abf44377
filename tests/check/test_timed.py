"""The stage that a GPU adds, with a scripted clock and real builds: a run of the pair with one variant more."""

import dataclasses
import json
import socket

import pytest

from ptxbench.check.contained import CheckTask, judge
from ptxbench.check.findings import ACCEPTED, REJECTED, TimingGpu
from ptxbench.check.inputs import read
from ptxbench.check.timed import Timing, with_candidate, with_time
from ptxbench.documents import json_text
from ptxbench.exporters.check import verdict
from ptxbench.measure import SamplingSettings
from ptxbench.runner import DeviceLost, run
from tests.documents import problems
from tests.fakes import DEVICE, FakeBackend
from tests.folders import PTX

QUICK = SamplingSettings(warm_up_seconds=0, stretch=1, looks=(8,), solo=0)


def right(build, launch, arguments, outputs):
    return {"y": arguments["x"] * arguments["a"]}


def wrong(build, launch, arguments, outputs):
    return {"y": arguments["x"] * (0 if build.variant == "ptx.candidate" else arguments["a"])}


def carry(plan):
    return run(dataclasses.replace(plan, settings=QUICK))


@pytest.fixture
def accepted(kernels, tmp_path):
    """A candidate for `scale` that the emulator has accepted, and the judgement on it."""
    path = tmp_path / "mine.ptx"
    path.write_text(PTX)
    judgement = judge(path, CheckTask("scale", kernels, "sm_90", 1))
    assert judgement.verdict == ACCEPTED
    return path, judgement


def timed(accepted, kernels, times, compute=right, carry=carry):
    path, judgement = accepted
    backend = FakeBackend(times, compute)
    return with_time(judgement, read(path), Timing(backend, kernels), carry=carry)


TIMES = {"cuda": [100_000], "ptx": [80_000], "ptx.candidate": [50_000]}


def test_an_accepted_candidate_is_timed_together_with_the_pairs_two_kernels(accepted, kernels):
    judgement = timed(accepted, kernels, TIMES)
    stage = next(stage for stage in judgement.stages if stage.stage == "time")
    where = f"on Scripted GPU of {socket.gethostname()}"
    assert (stage.verdict, stage.detail) == ("passed", f"50.00 µs, 0.500 × cuda [0.500 to 0.500], {where}")
    assert judgement.timed_on == TimingGpu(socket.gethostname(), DEVICE)
    document = verdict(judgement)
    assert problems(json.loads(json_text(document))) == []
    assert document["timed_on"]["device"]["name"] == "Scripted GPU"
    assert judgement.ratios["cuda"]["time"] == pytest.approx(0.5)
    assert judgement.ratios["ptx"]["time"] == pytest.approx(50 / 80)
    assert judgement.ratios["cuda"].keys() == {"sectors", "instructions", "sass_executed", "time"}
    assert judgement.verdict == ACCEPTED


def test_cuda_c_is_timed_as_the_ptx_that_was_judged(kernels, tmp_path):
    """If the run compiled it again, a text could behave differently, because more files are visible."""
    (tmp_path / "planted.h").write_text("hunter2")
    asks = f"""#define JOIN(a, b) a##b
#if JOIN(__has_, include)("{tmp_path}/planted.h")
#error there is such a file
#endif
"""
    path = tmp_path / "mine.cu"
    path.write_text(asks + (kernels / "cuda" / "scale.cu").read_text())
    copy = tmp_path / "copy"
    assert with_candidate(kernels, copy, "scale", read(path), "sm_90") == "ptx.candidate"
    text = (copy / "ptx" / "scale.candidate.ptx").read_text()
    assert ".entry scale(" in text
    assert str(tmp_path) not in text
    assert not list(copy.rglob("*.candidate.cu"))


@pytest.mark.long
def test_the_folder_of_the_pairs_is_not_changed(accepted, kernels):
    before = sorted(kernels.rglob("*"))
    timed(accepted, kernels, TIMES)
    assert sorted(kernels.rglob("*")) == before


def test_a_candidate_that_is_wrong_only_on_the_gpu_is_rejected_there(accepted, kernels):
    judgement = timed(accepted, kernels, TIMES, wrong)
    assert (judgement.verdict, judgement.ended_at) == (REJECTED, "time")
    assert judgement.decisive.code == "wrong-on-gpu"
    assert "y[" in judgement.decisive.message
    assert judgement.stages[-1].stage == "time"
    assert "time" not in judgement.ratios["cuda"]


@pytest.mark.long
def test_a_candidate_that_may_have_lost_the_device_is_rejected(accepted, kernels):
    lost = DeviceLost("an illegal address.", ("cuda", "ptx.candidate"))
    judgement = timed(accepted, kernels, TIMES, carry=lambda plan: [lost])
    assert judgement.decisive.message == "the device was lost: an illegal address."


@pytest.mark.long
def test_a_device_that_the_machine_lost_is_not_blamed_on_the_candidate(accepted, kernels):
    judgement = timed(accepted, kernels, TIMES, carry=lambda plan: [DeviceLost("an ECC error.")])
    assert judgement.verdict == ACCEPTED
    assert [(finding.code, finding.message) for finding in judgement.findings if finding.code == "not-timed"] == [
        ("not-timed", "no time: the device was lost: an ECC error.")
    ]


def test_a_candidate_without_a_time_is_accepted_with_a_warning(accepted, kernels):
    judgement = timed(accepted, kernels, {"cuda": [100_000], "ptx": [80_000]})
    assert judgement.verdict == ACCEPTED
    assert "not-timed" in [finding.code for finding in judgement.findings]


@pytest.mark.long
def test_a_candidate_that_was_not_accepted_is_not_timed(accepted, kernels, tmp_path):
    path = tmp_path / "other.ptx"
    path.write_text(PTX.replace(".entry scale", ".entry other"))
    judgement = judge(path, CheckTask("scale", kernels, "sm_90", 1))
    assert with_time(judgement, read(path), Timing(FakeBackend({}, right), kernels), carry=None) is judgement


def test_a_candidate_is_timed_on_other_data_in_every_block(accepted, kernels):
    known = {}

    def memo(build, launch, arguments, outputs):
        result = right(build, launch, arguments, outputs)
        return known.setdefault("left", result) if build.variant == "ptx.candidate" else result

    path, judgement = accepted
    backend = FakeBackend(TIMES, right, timed=memo)
    judgement = with_time(judgement, read(path), Timing(backend, kernels), carry=carry)
    assert (judgement.ended_at, judgement.decisive.code) == ("time", "wrong-on-gpu")
    assert ", timed, block " in judgement.decisive.message
