"""CUDA's errors, with the names and messages of NVIDIA's own Python bindings."""

from __future__ import annotations

STICKY = frozenset({214, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911})
"""After these the context is unusable: every later call returns the same status. (cuda.h, CUresult; 214 by use.)"""


class Failure(Exception):
    """A call fails with this status; the layer above turns it into its own type of error."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class CUDAError(RuntimeError):
    """As CuPy's: NAME: words."""

    def __init__(self, status: int) -> None:
        from cuda.bindings import driver, runtime

        self.status = status
        error = runtime.cudaError_t(status)
        name = error.name if isinstance(self, CUDARuntimeError) else driver.CUresult(status).name
        super().__init__(f"{name}: {runtime.cudaGetErrorString(error)[1].decode()}")


class CUDARuntimeError(CUDAError):
    """A call of the runtime failed."""


class CUDADriverError(CUDAError):
    """A call of the driver failed."""
