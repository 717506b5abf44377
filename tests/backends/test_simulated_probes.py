"""The probes on a simulated device. A slow host must not change their readings."""

import pytest

from ptxbench.backends.gpu import GpuBackend
from ptxbench.backends.gpu_probes import GpuProbe
from ptxbench.calibration.assessment import PASS
from ptxbench.calibration.suite import CalibrationSuite
from tests import simulated


def lines(monkeypatch, folder, launch_ns, *subjects):
    """The lines of those subjects on a T4 with that host time per launch, and the total status."""
    host = {"cuLaunchKernel": launch_ns, "cuLaunchKernelEx": launch_ns, "cudaEventRecord": launch_ns // 3}
    simulated.install(monkeypatch, folder, device="T4", host_ns=host)
    backend = GpuBackend()
    assert backend.unavailable() is None
    checklist = CalibrationSuite(backend, GpuProbe(backend))
    checked = [checklist.run_check(check) for check in checklist.checks if check.subject in subjects]
    return checked, checklist.measurements


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_compute_mode_is_reported(monkeypatch, tmp_path, exclusive):
    simulated.install(monkeypatch, tmp_path, exclusive=exclusive)
    assert GpuProbe(GpuBackend()).exclusive() is exclusive


@pytest.mark.parametrize("launch_ns", [1_000, 8_000, 20_000])
def test_a_good_flush_passes_whatever_the_host_needs_for_a_launch(monkeypatch, tmp_path, launch_ns):
    """Without a spin before each reading the flush fails from 6 us a launch on, and an empty pair takes 2.5 us."""
    checked, measurements = lines(monkeypatch, tmp_path, launch_ns, "flush", "timers", "shield")
    assert [line.status for line in checked] == [PASS] * 3, checked
    assert (measurements.flush_k, round(measurements.flush_ratio, 1)) == (1, 2.4)
    assert measurements.event_pair_ns == 0
    assert measurements.host_ns == launch_ns + 2 * (launch_ns // 3)
    assert bool(measurements.spin_ns) == (measurements.flush_ns < 1.5 * measurements.host_ns)


def test_graphs_lie_on_a_line_even_if_the_host_takes_long_for_them(monkeypatch, tmp_path):
    """Without a spin before each graph they lie 1.9 % off."""
    (_, line), measurements = lines(monkeypatch, tmp_path, 3_000, "flush", "slope")
    assert line.status == PASS
    assert abs(measurements.slope_error) < 0.005
