"""The basis of a calibration, on a device: the flush flushes, the spin ends, and the whole checklist completes."""

import os
from dataclasses import replace
from statistics import median

import pytest

from ptxbench.backends.flush import Flush, forget_persisting
from ptxbench.backends.gpu import GpuBackend, find_driver
from ptxbench.backends.gpu_probes import GpuProbe
from ptxbench.backends.hold import READINGS, smallest_step
from ptxbench.calibration import suite
from ptxbench.calibration.record import load
from ptxbench.cli import _calibrate, main
from ptxbench.measure import SamplingSettings
from tests import simulated


@pytest.fixture
def probe(gpu):
    return GpuProbe(gpu)


def test_a_read_takes_longer_after_a_flush(probe):
    for how in ("read", "write"):
        probe.read_after(how, 2)  # makes the buffers
        cold = median(probe.read_after(how, 2) for _ in range(20))
        warm = median(probe.read_after(how, 0) for _ in range(20))
        assert cold > 1.05 * warm


def test_the_timer_steps(probe):
    readings = probe.timer_readings()
    assert len(readings) == READINGS
    assert readings == sorted(readings)
    assert smallest_step(readings)


def test_a_spin_lasts_the_requested_time(probe):
    probe.flush_ns(0, 1_000_000)  # loads the kernel
    # the launch itself costs some microseconds, and the timer may step by one
    assert 1_000_000 <= median(probe.flush_ns(0, 1_000_000) for _ in range(5)) <= 1_200_000


def test_a_spin_goes_before_the_timed_part(gpu):
    gpu = GpuBackend(Flush(0, 5_000_000))
    record_start, record_stop = gpu.event(), gpu.event()
    start = record_start()
    gpu.sweep()
    assert gpu.elapsed(start, record_stop()) >= 5_000_000


def test_resetting_persisting_lines_does_no_harm(gpu, probe):
    probe.event_pair_ns()  # there is a context
    assert forget_persisting(find_driver()) in (True, False)
    assert probe.event_pair_ns() >= 0


@pytest.fixture
def thorough(gpu, monkeypatch):
    """A checklist with the waits and the gigabytes that a device needs. The simulated one needs neither: it has its
    clock at once, its L2 is small, and it ends no kernel however long one waits."""
    if simulated.VARIABLE in os.environ:
        checklist, at_once = _calibrate.gpu_calibration_suite, SamplingSettings(warm_up_limit_seconds=0)
        monkeypatch.setattr(_calibrate, "gpu_calibration_suite", lambda: replace(checklist(), settings=at_once))
        monkeypatch.setattr(suite, "IDLE_SECONDS", 0.0)
        monkeypatch.setattr(suite, "PATIENCE", 4.0)
        monkeypatch.setattr(suite, "LEAST_COPY", 1 << 20)


@pytest.mark.long
@pytest.mark.usefixtures("thorough")
def test_the_whole_checklist_is_saved(gpu, tmp_path, capsys):
    status = main(["doctor", "--calibrate", "--results", str(tmp_path)])
    out, _ = capsys.readouterr()
    [folder] = tmp_path.iterdir()
    record = load(folder)
    assert status == (5 if record.forbids_timing else 0), out
    assert len(record.lines) == 13
    assert record.device.name == gpu.device().name
