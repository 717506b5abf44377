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
def test_a_first_run_completes(ptxbench, kernels, ncu, monkeypatch, tmp_path):
    all_checks = vars(CalibrationSuite)["checks"].fget
    cheap = property(lambda checklist: [check for check in all_checks(checklist) if check.subject in CHEAP])
    monkeypatch.setattr(CalibrationSuite, "checks", cheap)
    settings = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0.1, stretch=1, looks=(8,), solo=4)
    monkeypatch.setattr(steps, "QUICK", settings)
    clocks = [(0.0, 1590.0, 0), (0.05, 1200.0, 4)]
    simulated.install(monkeypatch, tmp_path / "gpu", device="T4", control_n=1 << 16, clocks=clocks)
    ncu("counts", {"l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum": 17}, runs=True)
    ran = ptxbench("doctor", "--first-run", "--kernels", str(kernels), "--results", "results", "--json")
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    lines = {line["subject"]: line for step in document["steps"] for line in step["lines"]}
    assert {lines[subject]["status"] for subject in CHEAP} == {PASS}
    for name in ("bits: scale cuda", "bits: scale ptx", "counters: scale cuda", "counters: scale ptx"):
        assert lines[name]["status"] == PASS, lines[name]
    assert "of the time of cuda" in lines["run: scale"]["found"]
    run = json.loads((tmp_path / "results" / "tesla-t4" / document["steps"][1]["files"][0]).read_text())
    [cell] = [entry for entry in run["cells"] if not entry["control"]]
    assert [entry["round"] for entry in cell["rounds"]] == [0, 1, 2]
    for entry in cell["rounds"]:
        assert len(entry["clock_mhz"]) == len(entry["ns"])
        assert entry["solo_mhz"].keys() == {"A", "B"}
    clocks = {mhz for entry in cell["rounds"] for mhz in entry["clock_mhz"]}
    assert clocks <= {1590.0, 1200.0}
    assert run["calibration"]["flush_k"] == 1
