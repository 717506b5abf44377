"""The checklist on a scripted device: its probes in order, and the result of a line that fails."""

from dataclasses import replace

import numpy as np
import pytest

from ptxbench import discovery, toolchain
from ptxbench.arrays import poison
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.backends.flush import Flush
from ptxbench.backends.gpu import GpuBackend
from ptxbench.calibration import suite as module
from ptxbench.calibration.assessment import FAIL, PASS, WARN
from ptxbench.calibration.record import flushing
from ptxbench.calibration.suite import HOSTILE, shield_faults
from ptxbench.errors import DeviceError, MemoryFault
from ptxbench.pair import u32
from ptxbench.result import BROKEN, VERIFIED
from ptxbench.runner.events import DeviceLost
from ptxbench.runner.rounds import run_rounds
from tests.calibrated import CONTROL, CURVE, SMALL, Probe, ScriptedGpu, cell, new_suite
from tests.runs import GPU


@pytest.fixture(autouse=True)
def small_copy(monkeypatch):
    monkeypatch.setattr(module, "LEAST_COPY", 1 << 16)


def taken(*subjects: str, **changes):
    """The lines of those subjects, made in order; by default of all subjects."""
    suite = new_suite(**changes)
    lines = {
        check.subject: suite.run_check(check) for check in suite.checks if check.subject in subjects or not subjects
    }
    return suite, lines


def test_a_good_device_passes_every_line_and_its_settings_follow():
    suite, lines = taken()
    assert {line.status for line in lines.values()} == {PASS}
    record = suite.record()
    assert record.forbids_timing is False
    assert record.device == SMALL
    measurements = record.calibration
    assert (measurements.flush_k, measurements.flush_ratio) == (2, 2.0)
    assert (measurements.host_ns, measurements.flush_ns, measurements.spin_ns) == (9_000, 33_000, 0)
    assert (measurements.event_pair_ns, measurements.timer_step_ns) == (512, 32)
    assert measurements.copy_bytes_per_s == pytest.approx(8 * (1 << 16) / 100e-6)
    assert (measurements.control, measurements.control_half_width, measurements.process_spread) == (0, 0, 0)
    assert measurements.slope_error == 0
    assert measurements.driver_over_toolkit == 1
    assert measurements.solo_apart == {"copy": 0, "fma": 0}
    assert (
        lines["containment"].found
        == "endless and illegal_address cost only their own rows, and the next worker was fine"
    )


def test_the_device_is_held_if_the_flush_is_short():
    suite, lines = taken("flush", "timers", "shield", probe=Probe(flush=12_000))
    assert lines["shield"].status == PASS
    assert suite.measurements.spin_ns == 18_048  # twice 9 us in steps of 32 ns, and one more
    _, lines = taken("flush", "timers", "shield", probe=Probe(flush=12_000, step=0))
    assert lines["shield"].status == FAIL  # no timer by which a spin could end


def test_the_control_and_all_later_checks_use_the_chosen_flush(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "flushing", lambda backend, flush: asked.append(flush) or backend)
    curve = {**CURVE, 2: 19_000}
    taken("flush", "timers", "shield", "A/A control", probe=Probe(read=curve, flush=12_000))
    assert asked == [Flush(3, 18_048)]


def test_another_flush_makes_another_gpu_backend_and_does_not_change_the_emulator():
    assert vars(flushing(GpuBackend(), Flush(3, 9)))["flush"] == Flush(3, 9)
    assert flushing(device := ScriptedGpu(), Flush(3, 9)) is device


def test_a_flush_that_does_nothing_forbids_timing():
    suite, lines = taken("flush", probe=Probe(read=dict.fromkeys(CURVE, 10_000)))
    assert lines["flush"].status == FAIL
    assert suite.record().forbids_timing is True


class DeadProbe(Probe):
    def event_pair_ns(self):
        raise DeviceError("calibration: cudaErrorIllegalAddress.")


def test_a_check_that_the_device_refuses_is_one_line_and_the_next_check_runs():
    _, lines = taken("timers", "slope", probe=DeadProbe())
    assert (lines["timers"].status, lines["timers"].found) == (FAIL, "calibration: cudaErrorIllegalAddress.")
    assert lines["slope"].status == PASS


# the device, the line, its status, words of it
DEVICES = [
    (ScriptedGpu(replace(SMALL, driver=None)), "device", WARN, "driver unknown"),
    (ScriptedGpu(replace(SMALL, l2_bytes=None)), "device", FAIL, "L2 0 MiB"),
    (ScriptedGpu(SMALL, refuses="driver"), "loading", WARN, "--assembler driver: control.ptx: CUDA_ERROR_JIT"),
    (ScriptedGpu(SMALL, refuses="toolkit"), "loading", FAIL, "--assembler toolkit: control.ptx: CUDA_ERROR_JIT"),
    (ScriptedGpu(SMALL, copies_wrongly=True), "loading", FAIL, "the copy differs from its source"),
    (ScriptedGpu(SMALL, copies_wrongly=True), "bandwidth", FAIL, "the copy differs from its source"),
    (ScriptedGpu(SMALL, ns={"driver": 110_000}), "assemblers", WARN, "the driver's time over ptxas's: 1.100"),
    (ScriptedGpu(replace(SMALL, name=GPU.name), ns={"control": 10}), "bandwidth", FAIL, "of the published 3.350 TB/s"),
    (ScriptedGpu(replace(SMALL, name=GPU.name)), "bandwidth", WARN, "0% of the published 3.350 TB/s"),
    (ScriptedGpu(SMALL, clocks_mhz=(1755.0, 900.0)), "clock", WARN, "not stable"),
]  # fmt: skip


@pytest.mark.parametrize(("device", "subject", "status", "words"), DEVICES)
def test_a_device_with_problems_is_reported(device, subject, status, words):
    line = taken(subject, backend=device)[1][subject]
    assert (line.status, words in line.found) == (status, True), line
    assert line.advice


def test_a_device_for_one_process_at_a_time_cannot_be_calibrated():
    line = taken("device", probe=Probe(one_process=True))[1]["device"]
    assert (line.status, line.advice) == (
        FAIL, "The calibration needs several at once: set the compute mode to DEFAULT (nvidia-smi -c DEFAULT).",
    )  # fmt: skip


def lost(plan):
    yield DeviceLost("all devices are busy")


@pytest.mark.parametrize("subject", ["A/A control", "containment"])
def test_a_device_that_no_worker_can_open_forbids_timing(subject):
    line = taken(subject, rounds=lost)[1][subject]
    assert line.status == FAIL
    assert "all devices are busy" in line.found


# a cell after the hostile kernels ran, its error
HARM = [
    (cell("endless", cuda=VERIFIED, ptx=BROKEN), []),
    (cell("endless", cuda="skipped", ptx=BROKEN), []),                                # no NVRTC here
    (cell("endless", cuda=BROKEN, ptx=BROKEN), ["endless cost cuda too: why cuda"]),
    (cell("endless", cuda=VERIFIED, ptx=VERIFIED), ["endless went unnoticed: verified"]),
    (CONTROL, []),
    (cell("A/A control", control=True, cuda=VERIFIED, ptx="unsupported"), ["the control is unsupported"]),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "sentences"), HARM)
def test_a_hostile_kernel_may_cost_only_its_own_row(cell, sentences):
    assert list(shield_faults(cell)) == sentences


@pytest.mark.long
def test_real_workers_survive_the_hostile_kernels_and_measure_the_control(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 4.0)
    _, lines = taken("A/A control", "containment", rounds=run_rounds)
    assert lines["A/A control"].status == PASS
    assert "between 5 processes" in lines["A/A control"].found
    assert lines["containment"].status == PASS, lines["containment"]


@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_120"])
@pytest.mark.parametrize("name", ["endless", "illegal_address"])
def test_the_hostile_kernels_are_pairs_that_assemble(name, arch):
    loaded = discovery.load(HOSTILE, name)
    for source in loaded.sources:
        built = toolchain.build(
            source.path, language=source.language, variant=source.variant, entry=source.entry, arch=arch
        )
        assert built.cubin
        assert built.report.log == ""
        if name == "endless" and source.variant == "ptx":
            loads = [opcode for opcode in built.report.opcodes if opcode.startswith("LDG")]
            assert sum(built.report.opcodes[opcode] for opcode in loads) >= 2  # before its loop and in it


def test_the_hostile_ptx_does_harm_and_the_cuda_c_does_not():
    emulator = EmulatorBackend("sm_90")
    loaded = discovery.load(HOSTILE, "illegal_address")
    arguments = {"y": poison((32,), u32), "n": np.uint32(32)}
    for source in loaded.sources:
        built = toolchain.build(
            source.path, language=source.language, variant=source.variant, entry=source.entry, arch="sm_90"
        )
        if source.variant == "ptx":
            with pytest.raises(MemoryFault):
                emulator.run(built, loaded.pair.launch(n=32), arguments, ("y",))
        else:
            result = emulator.run(built, loaded.pair.launch(n=32), arguments, ("y",))
            assert result.outputs["y"].tolist() == list(range(32))
