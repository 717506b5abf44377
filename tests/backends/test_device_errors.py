"""Whose fault an error of the driver is, held against what cuda.h says of it."""

import re
from pathlib import Path

import nvidia
import pytest

from ptxbench.backends.device_errors import ADVICE, GONE, MACHINE, STICKY, failure, is_lost, is_unknown
from ptxbench.errors import DeviceError, MachineError

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
def test_an_error_is_the_kernels_or_the_machines_and_its_advice_is_known(status, kind, lost):
    error = failure("triad.ptx", status, "cudaErrorX: words of the driver.")
    assert type(error) is kind
    assert str(error) == f"triad.ptx: cudaErrorX: words of the driver. {ADVICE[status]}"
    assert is_lost(status) is lost
    assert not is_unknown(status)


@pytest.mark.parametrize("status", [999, 398])
def test_an_error_that_says_nothing_is_the_kernels_and_the_context_is_to_be_tried(status):
    assert type(failure("triad.ptx", status, "cudaErrorUnknown: unknown error")) is DeviceError
    assert is_unknown(status)
    assert not is_lost(status)


def test_every_number_that_is_classified_has_advice():
    assert ADVICE.keys() >= STICKY | GONE | MACHINE


FATAL = re.compile("any further CUDA work will return the same error|context cannot be used anymore|must be terminated")


def test_what_cuda_h_calls_fatal_is_lost():
    """A newer header may name more than the list does: then this says what."""
    text = next(Path(nvidia.__path__[0]).glob("*/include/cuda.h")).read_text(errors="replace")
    results = text[text.index("cudaError_enum") : text.index("} CUresult")]
    entries = re.findall(r"/\*\*(.*?)\*/\s*CUDA_\w+\s*=\s*(\d+)", results, re.DOTALL)
    fatal = {int(status) for words, status in entries if FATAL.search(" ".join(words.replace("*", " ").split()))}
    assert fatal >= {700, 719}
    assert sorted(fatal - STICKY) == []
