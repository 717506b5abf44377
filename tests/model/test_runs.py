"""Claims of a model against GPU measurements of the same machine code."""

from dataclasses import replace

import pytest

from ptxbench.model.runs import scored
from ptxbench.result import ORACLE_WEAK, Model, RooflineLimits, from_json, save
from tests.report.pages import page_of
from tests.runs import Kernel, Sampling, timed_run

SAMPLING = Sampling(rounds=3, blocks=9)


def measured(ptx_us, code="B", **frame):
    """A run on an H100 in which ptx takes that long, and cuda 50 µs."""
    kernels = {("triad", 64): {"cuda": Kernel(50), "ptx": Kernel(ptx_us, code)}}
    return timed_run(1, kernels, SAMPLING, **frame)


def modelled(verdict, reason=None, gpu="h100", code="B"):
    """A run on the emulator with this claim of the model."""
    run = timed_run(1, {("triad", 64): {"cuda": Kernel(), "ptx": Kernel(None, code)}}, SAMPLING, id="e")
    claims = {"ptx": {"verdict": verdict, "reason": reason}}
    model = Model(gpu, {"cuda": {"issue": 2e-5}, "ptx": {"issue": 1e-5}}, verdict, reason, claims, {"ptx": 0.0})
    return replace(run, cells=[replace(cell, model=model) for cell in run.cells])


def outcomes(*runs):
    return [(score.measured, score.outcome) for score in scored(runs)]


def test_a_claim_is_right_wrong_or_silent_by_the_measured_ratio():
    assert outcomes(modelled("lower"), measured(40)) == [("less", "right")]
    assert outcomes(modelled("higher"), measured(40)) == [("less", "wrong")]
    assert outcomes(modelled("lower"), measured(60)) == [("more", "wrong")]
    assert outcomes(modelled("higher"), measured(60)) == [("more", "right")]
    assert outcomes(modelled("lower"), measured(50)) == [("alike", "within 2 %")]
    assert outcomes(modelled("no claim", "global atomics"), measured(40)) == [("less", "silent")]


def test_the_order_of_the_runs_does_not_matter_and_each_kernel_counts_once():
    assert outcomes(measured(40, id="a"), modelled("lower"), measured(60, id="b")) == [("more", "wrong")]
    assert outcomes(modelled("higher"), modelled("lower"), measured(40)) == [("less", "right")]


def test_only_the_same_machine_code_on_the_gpu_of_the_model_is_scored():
    assert outcomes(modelled("lower"), measured(40, code="C")) == []
    assert outcomes(modelled("lower", gpu="a100"), measured(40)) == []
    assert outcomes(modelled("lower", gpu="unheard-of"), measured(40)) == []
    assert outcomes(modelled("lower"), measured(40, device={"name": "NVIDIA A100-SXM4-80GB", "sms": 108})) == []
    assert outcomes(measured(40)) == []
    assert outcomes(modelled("lower")) == []


def test_without_a_sufficient_verification_there_is_no_measured_ratio():
    weak = measured(40)
    assert outcomes(modelled("lower"), replace(weak, cells=[replace(weak.cells[0], labels=[ORACLE_WEAK])])) == []


def test_a_measured_ratio_whose_interval_contains_one_is_one():
    apart, unclear = measured(40), measured(50.1)
    assert [score.seconds for score in scored([modelled("lower"), unclear])] == [1.0]
    assert [score.seconds for score in scored([modelled("lower"), apart])] == [pytest.approx(0.8, abs=0.02)]


def test_the_page_of_both_runs_has_predicted_and_measured_values():
    page = page_of(modelled("lower"), with_limits(measured(40)))
    assert "Model of H100 SXM, floors, not times: ptx: lower floor on every resource that matters" in page
    sentence = (
        "The model of H100 SXM predicted for ptx: lower floor on every resource that matters. "
        "Measured against cuda: less time."
    )
    assert page.count(sentence) == 1
    assert "The model of" not in page_of(with_limits(measured(40)))


def with_limits(run):
    limits = RooflineLimits("H100 SXM", "published", 3.35e12)
    return replace(run, cells=[replace(cell, limits=limits) for cell in run.cells])


def test_saved_runs_are_scored_by_the_command(ptxbench, tmp_path):
    for run in (modelled("lower"), measured(40)):
        path = save(run, tmp_path)
        assert from_json(path.read_text(), "it").cells[0].model == run.cells[0].model
    text = ptxbench("model", "audit", "--results", tmp_path).out
    assert "Saved runs: 1 claim of a model that a GPU measured" in text
    assert "triad ptx, n=64, H100 SXM" in text
    (tmp_path / "20260131T120000Z-bad.json").write_text("{")
    ran = ptxbench("model", "audit", "--results", tmp_path, "--json")
    assert ran.status == 0
    assert ran.err.startswith("Skipped: ")


def test_a_folder_that_is_asked_for_and_missing_is_an_error(ptxbench, tmp_path, monkeypatch):
    missing = tmp_path / "none"
    ran = ptxbench("model", "audit", "--results", missing)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"Error: There is no folder {missing}. Give --results the folder that holds saved runs.\n"
    monkeypatch.chdir(tmp_path)
    assert ptxbench("model", "audit").status == 0  # nothing was run here so far
