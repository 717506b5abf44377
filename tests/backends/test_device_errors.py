"""The classification of driver errors, checked with the text of cuda.h."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import nvidia
import pytest

from ptxbench.backends import gpu, open_backend
from ptxbench.backends.device_errors import ADVICE, GONE, MACHINE, STICKY, failure, is_lost, silence
from ptxbench.errors import DeviceError, MachineError, ToolMissing

# status, the class of the error, whether the process can use the GPU no more
# fmt: off
ROWS = [
    (1,   DeviceError,  False),  # the launch does not fit
    (2,   MachineError, False),  # out of memory
    (46,  MachineError, True),   # exclusive mode, or a busy device
    (200, MachineError, False),  # a cubin that the driver does not know
    (214, MachineError, True),   # ECC
    (218, DeviceError,  False),  # PTX that the JIT compiler refuses
    (220, MachineError, True),   # NVLink
    (221, MachineError, False),  # no JIT compiler
    (222, MachineError, False),  # PTX newer than the driver
    (226, MachineError, True),   # contained: a fault of the hardware
    (500, DeviceError,  False),  # no such entry
    (700, DeviceError,  True),   # an illegal address
    (701, DeviceError,  False),  # too many registers or threads
    (709, MachineError, True),   # the context is destroyed
    (719, DeviceError,  True),   # a failure in a kernel
    (720, DeviceError,  False),  # a cooperative grid that is too large: nothing ran
    (721, DeviceError,  True),   # tensor memory not freed
    (802, MachineError, True),   # the system is not ready
    (810, MachineError, True),   # ended by the MPS server
    (911, MachineError, True),   # a device outside of CUDA
    (912, DeviceError,  False),  # a cluster that does not fit: nothing ran
]
# fmt: on


@pytest.mark.parametrize(("status", "kind", "lost"), ROWS)
def test_an_error_is_of_the_kernel_or_of_the_machine_and_has_advice(status, kind, lost):
    error = failure("triad.ptx", status, "cudaErrorX: words of the driver.")
    assert type(error) is kind
    assert str(error) == f"triad.ptx: cudaErrorX: words of the driver. {ADVICE[status]}"
    assert is_lost(status) is lost


@pytest.mark.parametrize("status", [999, 398])
def test_an_unspecific_error_is_blamed_on_the_kernel_and_the_context_is_tried(status):
    assert type(failure("triad.ptx", status, "cudaErrorUnknown: unknown error")) is DeviceError
    assert not is_lost(status)


def test_every_number_that_is_classified_has_advice():
    assert ADVICE.keys() >= STICKY | GONE | MACHINE


FATAL = re.compile("any further CUDA work will return the same error|context cannot be used anymore|must be terminated")


def test_an_error_that_cuda_h_calls_fatal_loses_the_device():
    """A newer header may name more errors than the list: then this names them."""
    text = next(Path(nvidia.__path__[0]).glob("*/include/cuda.h")).read_text(errors="replace")
    results = text[text.index("cudaError_enum") : text.index("} CUresult")]
    entries = re.findall(r"/\*\*(.*?)\*/\s*CUDA_\w+\s*=\s*(\d+)", results, re.DOTALL)
    fatal = {int(status) for words, status in entries if FATAL.search(" ".join(words.replace("*", " ").split()))}
    assert fatal >= {700, 719}
    assert sorted(fatal - STICKY) == []


# ---- a GPU that is not used


def importing(tmp_path, text):
    """A folder with a CuPy of that text."""
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").write_text(text)
    return tmp_path


# the effect of importing CuPy; the message of `auto`, which then uses the emulator
BROKEN = [
    ("raise ImportError('libcudart.so.13: cannot open shared object file')",
     "No GPU: CuPy cannot be imported (ImportError: libcudart.so.13: cannot open shared object file)."),
    ("try:\n    import libnothing\nexcept ImportError as error:\n"
     "    raise ImportError('\\n=====\\nFailed to import CuPy.\\n=====') from error",
     "No GPU: CuPy cannot be imported (ModuleNotFoundError: No module named 'libnothing')."),
    ("raise KeyError", "No GPU: CuPy cannot be imported (KeyError)."),
    ("class cuda:\n    class runtime:\n        CUDARuntimeError = ZeroDivisionError\n"
     "        def getDeviceCount():\n            raise RuntimeError('libcudart is missing')",
     "No GPU: CuPy does not work (RuntimeError: libcudart is missing)."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), BROKEN)
def test_a_cupy_that_does_not_work_means_the_emulator_with_a_sentence(tmp_path, monkeypatch, text, sentence):
    monkeypatch.setattr(gpu, "find_driver", object)
    monkeypatch.syspath_prepend(importing(tmp_path, text))
    for name in [name for name in sys.modules if name.partition(".")[0] == "cupy"]:
        monkeypatch.delitem(sys.modules, name)
    messages = []
    assert open_backend("auto", None, messages.append).name == "emulator"
    assert messages == [f"{sentence} The emulator runs instead, without timing."]
    with pytest.raises(ToolMissing, match=r"^No GPU: CuPy .*Run with --backend emulator to verify without timing\.$"):
        open_backend("gpu")
    sys.modules.pop("cupy", None)


def test_a_machine_without_a_gpu_gets_no_message(monkeypatch):
    monkeypatch.setattr(gpu, "find_driver", lambda: None)
    messages = []
    assert open_backend("auto", None, messages.append).name == "emulator"
    assert messages == []


# ---- what a lost device leaves


def test_the_end_of_an_event_of_a_lost_device_prints_nothing(monkeypatch):
    """CuPy's objects call the driver when they are destroyed. An error there cannot be raised, only printed."""

    class Event:
        def __init__(self, error):
            self.error = error

        def __del__(self):
            raise self.error

    printed = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: printed.append(unraisable.exc_value))
    silence((LookupError,))
    Event(KeyError("the device is lost"))
    assert printed == []
    Event(TypeError("a bug"))
    assert [str(error) for error in printed] == ["a bug"]


# ---- what the backend makes of them


class CudaError(RuntimeError):
    def __init__(self, status):
        super().__init__("cudaErrorX: words")
        self.status = status


class OutOfMemory(MemoryError):
    pass


def backend_over(**calls):
    """A backend on a fake CUDA; its context fails with the status `context`, if given."""
    backend = gpu.GpuBackend()

    def context(*arguments):
        if "context" in calls:
            raise CudaError(calls["context"])

    runtime = SimpleNamespace(CUDARuntimeError=CudaError, memGetInfo=context)
    cuda = SimpleNamespace(
        runtime=runtime,
        driver=SimpleNamespace(CUDADriverError=CudaError),
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemory),
    )
    backend.__dict__.update(cuda=cuda, stream=SimpleNamespace(synchronize=lambda: None), **calls)
    return backend


BUILD = SimpleNamespace(variant="ptx", source=SimpleNamespace(name="scale.ptx"))


def reported(backend, build, error):
    with pytest.raises((DeviceError, MachineError)) as reported, backend.reporting(build):
        raise error
    return type(reported.value)


@pytest.fixture(autouse=True)
def hook(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)


def test_after_an_unspecific_error_the_context_is_tried_once():
    for status in (999, 398, 701):  # the last says nothing of a kernel that is in flight
        working, failing = backend_over(), backend_over(context=700)
        assert reported(working, BUILD, CudaError(status)) is DeviceError
        assert working.lost is None
        assert reported(failing, BUILD, CudaError(status)) is DeviceError
        assert failing.lost.startswith("scale.ptx: cudaErrorX: words.")
        assert reported(failing, BUILD, CudaError(1)) is MachineError  # whatever is tried now is not to blame


def test_a_lack_of_memory_does_not_make_a_kernel_broken():
    backend = backend_over()
    assert reported(backend, BUILD, OutOfMemory("Out of memory allocating 512 bytes")) is MachineError
    assert reported(backend, BUILD, CudaError(2)) is MachineError
    assert backend.lost is None


def test_an_error_in_our_own_kernel_is_blamed_on_the_machine():
    assert reported(backend_over(), BUILD, CudaError(218)) is DeviceError
    assert reported(backend_over(), gpu.EMPTY, CudaError(218)) is MachineError


@pytest.mark.parametrize("ends", [True, False])
def test_a_capture_that_fails_is_ended_and_its_own_error_raised(ends):
    """Otherwise the stream would stay in the capture, and every later call on it would fail."""
    log = []

    def end():
        log.append("end")
        if not ends:
            raise CudaError(901)

    def refused():
        raise CudaError(701)

    backend = backend_over()
    backend.__dict__.update(stream=SimpleNamespace(begin_capture=lambda: log.append("begin"), end_capture=end))
    with pytest.raises(CudaError) as error:
        backend.capture(refused)
    assert error.value.status == 701
    assert log == ["begin", "end"]


def test_memory_in_cupys_pool_counts_as_free_and_is_released_between_cells():
    log = []
    pool = SimpleNamespace(free_bytes=lambda: 300, free_all_blocks=lambda: log.append("freed"))
    backend = backend_over(pool=pool, sweep=lambda: None)
    backend.cuda.runtime.memGetInfo = lambda: (1000, 5000)
    assert backend.free_bytes == 1300
    backend.shared_buffers = ({}, object())
    backend.release()
    assert backend.shared_buffers is None
    assert log == ["freed"]
