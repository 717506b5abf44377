"""A first run on the simulated device: workers, profiled launches, and the quick lines of the calibration."""

import json

import pytest

from ptxbench.calibration.assessment import PASS
from ptxbench.calibration.suite import CalibrationSuite
from ptxbench.firstrun import steps
from ptxbench.measure import SamplingSettings
from tests import simulated

CHEAP = ("device", "loading", "flush", "dirty L2", "timers", "shield")


@pytest.mark.long
def test_a_first_run_goes_through(ptxbench, kernels, ncu, monkeypatch, tmp_path):
    every = vars(CalibrationSuite)["checks"].fget
    cheap = property(lambda checklist: [each for each in every(checklist) if each.subject in CHEAP])
    monkeypatch.setattr(CalibrationSuite, "checks", cheap)
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0.1, stretch=1, looks=(8,), solo=4)
    monkeypatch.setattr(steps, "QUICK", settings)
    clocks = [(0.0, 1590.0, 0), (0.05, 1200.0, 4)]
    simulated.install(monkeypatch, tmp_path / "gpu", device="T4", control_n=1 << 16, clocks=clocks)
    ncu("counts", {"l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum": 17}, runs=True)
    ran = ptxbench("doctor", "--first-run", "--kernels", str(kernels), "--results", "results", "--json")
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    found = {line["subject"]: line for step in document["steps"] for line in step["lines"]}
    assert {found[each]["status"] for each in CHEAP} == {PASS}
    for each in ("bits: scale cuda", "bits: scale ptx", "counters: scale cuda", "counters: scale ptx"):
        assert found[each]["status"] == PASS, found[each]
    assert "of the time of cuda" in found["run: scale"]["found"]
    run = json.loads((tmp_path / "results" / "tesla-t4" / document["steps"][1]["files"][0]).read_text())
    [cell] = [each for each in run["cells"] if not each["control"]]
    assert [each["round"] for each in cell["rounds"]] == [0, 1, 2]
    for each in cell["rounds"]:
        assert len(each["clock_mhz"]) == len(each["ns"])
        assert each["solo_mhz"].keys() == {"A", "B"}
    clocks = {mhz for each in cell["rounds"] for mhz in each["clock_mhz"]}
    assert clocks <= {1590.0, 1200.0}
    assert run["calibration"]["flush_k"] == 1
