"""The GPU backend's sentences and the order of its clock, without a device. With one: tests/gpu."""

import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pynvml
import pytest

from ptxbench import toolchain
from ptxbench.arrays import poison
from ptxbench.backends import device_errors, event_clock, gpu, nvml
from ptxbench.backends.base import BlockState
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.errors import MemoryFault, ToolMissing, WrongResult
from ptxbench.pair import Launch, f32, u8, u32

# status, the runtime's message, CUDA of the driver, the sentence
NOT_THERE = [
    (100, "cudaErrorNoDevice: no CUDA-capable device is detected", "13.0",
     "No GPU: cudaErrorNoDevice. Run with --backend emulator to verify without timing."),
    (35, "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version", "12.4",
     "No GPU: cudaErrorInsufficientDriver: the driver supports CUDA 12.4 and CuPy needs a newer one; "
     "update the driver or install [cu12]. Run with --backend emulator to verify without timing."),
]  # fmt: skip


@pytest.mark.parametrize(("status", "text", "cuda", "sentence"), NOT_THERE)
def test_a_missing_gpu_is_reported_in_one_sentence_with_advice(status, text, cuda, sentence):
    assert device_errors.why_unavailable(status, text, cuda) == sentence


def test_a_gpu_that_does_not_work_is_not_treated_as_absent():
    with pytest.raises(ToolMissing) as error:
        device_errors.why_unavailable(802, "cudaErrorSystemNotReady: system not yet initialized", "13.0")
    assert str(error.value) == (
        "The GPU does not work: cudaErrorSystemNotReady: system not yet initialized. "
        "Repair the driver, or run with --backend emulator."
    )


def test_without_a_driver_cupy_is_not_even_imported(monkeypatch):
    monkeypatch.setattr(gpu, "find_driver", lambda: None)
    backend = gpu.GpuBackend()
    assert backend.unavailable() == (
        "No GPU: no NVIDIA driver is installed. Run with --backend emulator to verify without timing."
    )
    assert "cuda" not in vars(backend)


def test_without_cupy_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(gpu, "find_driver", object)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert gpu.GpuBackend().unavailable() == (
        "No GPU: CuPy is not installed (pip install 'ptxbench[cu13]'). "
        "Run with --backend emulator to verify without timing."
    )


def test_importing_the_backend_imports_neither_cupy_nor_nvml():
    code = (
        "import sys; import ptxbench.backends.gpu; print([m for m in ('cupy', 'pynvml', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# status, the driver's words, what the message ends with
FAILURES = [
    (700, "cudaErrorIllegalAddress: an illegal memory access was encountered",
     "triad.ptx: cudaErrorIllegalAddress: an illegal memory access was encountered. "
     "Run it with --backend emulator: it reports the line."),
    (222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported toolchain.",
     "triad.ptx: CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported toolchain. "
     "The PTX is newer than the driver. Update the driver, or run with --assembler toolkit."),
    (999, "CUDA_ERROR_UNKNOWN: unknown error",
     "triad.ptx: CUDA_ERROR_UNKNOWN: unknown error. The driver reports no cause. Run again; if it happens again, run "
     "`nvidia-smi` and see the system log."),
    (398, "CUDA_ERROR_NEW: a number of a newer driver",
     "triad.ptx: CUDA_ERROR_NEW: a number of a newer driver. The driver's documentation explains this error."),
]  # fmt: skip


@pytest.mark.parametrize(("status", "text", "message"), FAILURES)
def test_a_failure_has_the_drivers_error_name_and_advice(status, text, message):
    assert device_errors.explain("triad.ptx", status, text) == message


def refuse(*arguments):
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


UNKNOWN = {"uuid_hash": None, "mig": None, "power_limit_w": None, "driver": None}


def test_without_nvml_its_fields_are_none(monkeypatch):
    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    assert nvml.management("0000:01:00.0") == UNKNOWN


def test_a_value_that_nvml_does_not_report_is_none_and_the_rest_is_kept(monkeypatch):
    answers = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: "580.65.06",
        "nvmlDeviceGetHandleByPciBusId": {"0000:01:00.0": "a handle"}.get,
        "nvmlDeviceGetUUID": {"a handle": "GPU-5c1f0e2a-0000-0000-0000-000000000000"}.get,
        "nvmlDeviceGetMigMode": refuse,
        "nvmlDeviceGetEnforcedPowerLimit": {"a handle": 350_000}.get,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)
    facts = nvml.management("0000:01:00.0")
    assert len(facts["uuid_hash"]) == 16
    assert facts == UNKNOWN | {"uuid_hash": facts["uuid_hash"], "power_limit_w": 350.0, "driver": "580.65.06"}
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByPciBusId", refuse)
    assert nvml.management("0000:01:00.0") == UNKNOWN | {"driver": "580.65.06"}


def test_a_sample_restores_and_flushes_outside_the_timed_part_and_waits_last():
    log = []

    def event():
        log.append("make event")
        name = f"event {log.count('make event')}"

        def record():
            log.append(f"record {name}")
            return name

        return record

    def elapsed(start, stop):
        log.append(f"wait for {stop}")
        return 51200

    clock = event_clock.EventClock(
        lambda launch: log.append("restore and flush"), lambda: log.append("launch"), event, elapsed, nullcontext
    )
    wait = clock.enqueue()
    assert log == ["make event", "make event", "restore and flush", "record event 1", "launch", "record event 2"]
    assert wait() == 51200
    assert log[-1] == "wait for event 2"


def test_the_output_of_a_sample_is_fetched_under_the_name_of_its_kernel():
    log = []

    @contextmanager
    def reporting():
        log.append("begin")
        yield
        log.append("end")

    clock = event_clock.EventClock(
        lambda launch: None, lambda: None, lambda: None, lambda: None, reporting,
        outputs=lambda: log.append("fetch") or {"y": 1},
    )  # fmt: skip
    assert clock.outputs() == {"y": 1}
    assert log == ["begin", "fetch", "end"]


def test_a_graph_is_captured_once_and_timed_like_a_launch():
    log = []

    def capture(launches):
        log.append(f"capture {launches}")
        return lambda: log.append(f"graph of {launches}")

    clock = event_clock.EventClock(
        lambda launch: log.append("flush"), lambda: None, lambda: lambda: log.append("record"), lambda start, stop: 7,
        nullcontext, capture, copies=3,
    )  # fmt: skip
    assert (clock.graphs, clock.copies) == (True, 3)
    assert [clock.enqueue_graph(8)() for _ in range(2)] == [7, 7]
    assert log == ["capture 8", *["flush", "record", "graph of 8", "record"] * 2]


def test_the_time_of_a_graph_of_resets_alone_is_subtracted():
    log = []
    ns = {"whole": 100, "resets": 30}

    def graphs(what):
        return lambda launches: lambda: log.append((what, launches))

    clock = event_clock.EventClock(
        lambda launch: log.append("flush"), lambda: None, lambda: lambda: log[-1],
        lambda start, stop: stop[1] * ns[stop[0]], nullcontext, graphs("whole"), capture_resets=graphs("resets"),
    )  # fmt: skip
    assert clock.enqueue_graph(8)() == 8 * 70
    assert log == ["flush", ("whole", 8), "flush", ("resets", 8)]


def test_with_new_data_or_modules_graphs_are_captured_again():
    log = []

    def launches(*names):
        return [lambda name=name: log.append(name) for name in names]

    clock = event_clock.EventClock(
        lambda launch: None, launches("first")[0], lambda: lambda: None, lambda start, stop: 7, nullcontext,
        lambda count: log.append(f"capture {count}") or (lambda: None),
        refill=lambda arguments: log.append(f"refill {arguments}") or launches("on new data"),
        reload=lambda samples: log.append("reload") or launches("module 1", "module 2"),
    )  # fmt: skip
    clock.enqueue()
    clock.enqueue_graph(8)
    clock.refill("x")
    clock.enqueue()
    clock.enqueue_graph(8)
    clock.reload(2)
    for _ in range(3):
        clock.enqueue()
    clock.enqueue_graph(8)
    clock.enqueue_graph(8)
    assert log == [
        "first", "capture 8", "refill x", "on new data", "capture 8", "reload", "module 1", "module 2", "module 2",
        "capture 8",
    ]  # fmt: skip


def test_nvml_gives_the_clock_and_throttle_reasons_or_nothing(monkeypatch):
    answers = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByPciBusId": {"0000:01:00.0": "a handle"}.get,
        "nvmlDeviceGetClockInfo": lambda device, kind: {("a handle", pynvml.NVML_CLOCK_SM): 1755}[device, kind],
        "nvmlDeviceGetCurrentClocksThrottleReasons": {"a handle": 0x20}.get,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)
    watch = nvml.NvmlWatch.of("0000:01:00.0")
    assert watch.state() == BlockState(1755.0, 0x20)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetClockInfo", refuse)
    assert watch.state() == BlockState(None, 0)
    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    assert nvml.NvmlWatch.of("0000:01:00.0") is None


SWEEP = Path(gpu.__file__).with_name("l2_sweep.ptx")
BREAKERS = Path(__file__).parents[1] / "gpu" / "ptx"
KERNELS = [SWEEP, SWEEP.with_name("checksum.ptx"), *sorted(BREAKERS.glob("*.ptx"))]


@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_120"])
@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_the_kernels_that_only_a_device_can_run_assemble_without_one(path, arch):
    built = toolchain.build(path, language="ptx", variant="ptx", entry=path.stem, arch=arch)
    assert built.cubin
    assert built.report.log == ""


def emulate(path, launch, arguments, outputs):
    built = toolchain.build(path, language="ptx", variant="ptx", entry=path.stem, arch="sm_90")
    return EmulatorBackend("sm_90").run(built, launch, arguments, outputs)


def test_the_sweep_reads_every_sector_once_and_writes_nothing():
    sectors = 1000
    arguments = {"buffer": np.zeros(sectors * 8, u32), "sectors": np.uint32(sectors)}
    counts = emulate(SWEEP, Launch(4, 256), arguments, ()).counts
    assert counts["ptx_global_load_sectors"] == sectors
    assert counts["ptx_global_store_sectors"] == 0


def test_the_kernels_of_the_device_tests_behave_as_those_tests_expect():
    out = {"out": poison((256,), u32)}
    with pytest.raises(MemoryFault, match="writes byte 1024 of 'out', which has 1024"):
        emulate(BREAKERS / "past_end.ptx", Launch(1, 256), out, ("out",))
    with pytest.raises(MemoryFault, match="address 0x10, which is in no buffer"):
        emulate(BREAKERS / "illegal_address.ptx", Launch(1, 1), out, ("out",))
    arguments = {"x": np.arange(4, dtype=f32), "out": poison((1,), f32)}
    with pytest.raises(WrongResult, match="'x', which is an input"):
        emulate(BREAKERS / "writes_input.ptx", Launch(1, 1), arguments, ("out",))
    shared = emulate(BREAKERS / "big_shared.ptx", Launch(1, 256, shared_bytes=63 * 1024), out, ("out",))
    assert shared.outputs["out"].tolist() == list(range(256))
    scalars = {
        "byte": np.uint8(0xA5),
        "double": np.float64(0.1),
        "half": np.uint16(0xBEEF),
        "single": np.float32(0.1),
        "out": poison((16,), u8),
    }
    written = emulate(BREAKERS / "scalars.ptx", Launch(1, 1), scalars, ("out",)).outputs["out"].tobytes()
    assert written == np.float64(0.1).tobytes() + np.float32(0.1).tobytes() + bytes([0xEF, 0xBE, 0xA5, 0xFF])
