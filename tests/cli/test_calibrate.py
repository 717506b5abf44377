"""`ptxbench doctor --calibrate` as a user meets it: with a device from a script, and without one."""

import json

import pytest

from ptxbench.backends import gpu
from ptxbench.calibration import suite as module
from ptxbench.calibration.assessment import FAIL, PASS, WARN, CheckResult
from ptxbench.calibration.record import load
from ptxbench.calibration.suite import CalibrationSuite, Check
from ptxbench.cli import _calibrate, main
from tests.calibrated import Probe, ScriptedGpu, new_suite
from tests.runs import GPU

FLUSH = CheckResult(
    "flush",
    PASS,
    "a read takes 1.94 times as long after 2 x L2 (0: 10.30 µs, 0.5: 12.10 µs, 1: 18.20 µs, 2: 20.00 µs, 3: 20.00 µs)",
    values={"flush_k": 2.0, "flush_ratio": 1.94},
)
SLOPE = CheckResult(
    "slope", WARN, "256 launches in a graph lie +2.10% off the line through 64 and 128", "Prefer larger sizes."
)
SHIELD = CheckResult("shield", FAIL, "the host takes 40.00 µs, the flush 0.8 times that", "Use a faster processor.")


class Scripted(CalibrationSuite):
    """Returns the given lines."""

    def __init__(self, *lines):
        super().__init__(ScriptedGpu(), Probe())
        self.scripted = lines

    @property
    def checks(self):
        return [Check(line.subject, lambda subject, line=line: line, True) for line in self.scripted]


@pytest.fixture
def calibrate(monkeypatch, tmp_path, capsys):
    """Runs the command with those lines: exit status, stdout, stderr."""
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))

    def calibrate(*lines, options=(), results=tmp_path / "results"):
        monkeypatch.setattr(_calibrate, "gpu_calibration_suite", lambda: Scripted(*lines))
        status = main(["doctor", "--calibrate", "--results", str(results), *options])
        return status, *capsys.readouterr()

    return calibrate


PRINTED = """\
PASS  flush   a read takes 1.94 times as long after 2 x L2 (0: 10.30 µs, 0.5: 12.10 µs, 1: 18.20 µs,
              2: 20.00 µs, 3: 20.00 µs)
WARN  slope   256 launches in a graph lie +2.10% off the line through 64 and 128
FAIL  shield  the host takes 40.00 µs, the flush 0.8 times that

What to do:
  slope: Prefer larger sizes.
  shield: Use a faster processor.
"""


def test_each_line_is_printed_as_a_row_with_advice(calibrate, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("NO_COLOR", "1")
    status, out, err = calibrate(FLUSH, SLOPE, SHIELD)
    assert "".join(f"{line.rstrip()}\n" for line in out.splitlines()) == PRINTED
    assert max(map(len, out.splitlines())) <= 100
    assert status == 5
    assert err == (
        f"Saved {tmp_path}/results/nvidia-h100-80gb-hbm3/calibration.json\n"
        "A check failed: do not trust times of this device until it is fixed.\n"
    )


# the lines, the exit status
STATUSES = [
    ([FLUSH],                0),
    ([FLUSH, SLOPE],         0),    # a warning forbids nothing
    ([FLUSH, SHIELD, SLOPE], 5),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), STATUSES)
def test_only_a_fail_is_exit_status_5_and_the_file_has_it_too(calibrate, tmp_path, lines, expected):
    status, out, _ = calibrate(*lines, options=["--json"])
    assert status == expected
    document = json.loads(out)
    assert document["forbids_timing"] is (expected == 5)
    assert [line["status"] for line in document["lines"]] == [line.status for line in lines]
    path = tmp_path / "results" / "nvidia-h100-80gb-hbm3" / "calibration.json"
    assert path.read_text(encoding="utf-8") == out
    record = load(path.parent)
    assert record.calibration.flush_ratio == 1.94
    assert record.device == GPU


def test_an_unwritable_folder_is_reported_before_the_work(calibrate, tmp_path):
    (tmp_path / "file").write_text("no folder")
    status, out, err = calibrate(FLUSH, results=tmp_path / "file" / "results")
    assert (status, out) == (2, "")
    assert err.endswith("Name another folder with --results.\n")


def test_without_a_gpu_one_sentence_says_where_to_calibrate(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(gpu, "find_driver", lambda: None)
    status = main(["doctor", "--calibrate", "--results", str(tmp_path / "results")])
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err == (
        "Error: No GPU: no NVIDIA driver is installed. --calibrate needs a GPU: run it on a machine that has one.\n"
    )
    assert not (tmp_path / "results").exists()


def test_results_is_an_option_only_of_calibrating(capsys):
    assert main(["doctor", "--results", "elsewhere"]) == 2
    assert capsys.readouterr().err == ("Error: --results needs --calibrate or --first-run.\n")


def test_a_whole_checklist_passes(monkeypatch, tmp_path, capsys):
    """Every check on a scripted device, as for a GPU."""
    monkeypatch.setattr(module, "LEAST_COPY", 1 << 16)
    monkeypatch.setattr(_calibrate, "gpu_calibration_suite", new_suite)
    assert main(["doctor", "--calibrate", "--results", str(tmp_path)]) == 0
    out, _ = capsys.readouterr()
    rows = [line.split()[0] for line in out.splitlines() if line[:4] in (PASS, WARN, FAIL)]
    assert rows == [PASS] * len(new_suite().checks)
    assert (tmp_path / "scripted-gpu" / "calibration.json").exists()
