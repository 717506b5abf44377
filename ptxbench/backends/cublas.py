"""cuBLAS by ctypes: its matrix product, which is enqueued like a launch.

CuPy has wrappers too, but refuses to call them while a graph is captured. The library is a parameter, so that tests can
check its arguments without it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ptxbench.backends.base import Arguments
from ptxbench.errors import LaunchUnavailable, MachineError
from ptxbench.libraries import Gemm

INSTALL = "pip install nvidia-cublas, or nvidia-cublas-cu12 with CUDA 12"

OVERRIDE = "NVIDIA_TF32_OVERRIDE"
"""An environment variable; if it is 1, cuBLAS always rounds f32 inputs to TF32."""

NO_TRANSPOSE, DEFAULT_MATH, COMPUTE_F32, DEFAULT_ALGORITHM = 0, 0, 68, -1
"""Values of cublasOperation_t, cublasMath_t (TF32 only on request), cublasComputeType_t and cublasGemmAlgo_t."""

TYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 2}
"""CUDA_R_32F and CUDA_R_16F of cudaDataType."""


def find_cublas() -> Any:
    """cuBLAS, loaded. Raises LaunchUnavailable if it is not installed, does not load, or must use TF32."""
    if os.environ.get(OVERRIDE) == "1":
        raise LaunchUnavailable(f"{OVERRIDE}=1 makes cuBLAS round its inputs to TF32. Unset it.")
    try:
        from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib
    except ImportError:
        raise LaunchUnavailable(f"cuBLAS is not installed ({INSTALL}).") from None
    try:
        return ctypes.CDLL(str(load_nvidia_dynamic_lib("cublas").abs_path))
    except DynamicLibNotFoundError:
        raise LaunchUnavailable(f"cuBLAS is not installed ({INSTALL}).") from None
    except (RuntimeError, OSError) as error:
        raise LaunchUnavailable(f"cuBLAS does not load: {error}. Reinstall it ({INSTALL}).") from None


class Cublas:
    """The library with a handle on `stream`, the address of a CUstream. A context must be current."""

    def __init__(self, library: Any, stream: int) -> None:
        self.library = library
        self.handle = ctypes.c_void_p()
        self.check("cublasCreate_v2", library.cublasCreate_v2(ctypes.byref(self.handle)))
        self.check("cublasSetStream_v2", library.cublasSetStream_v2(self.handle, ctypes.c_void_p(stream)))
        self.check("cublasSetMathMode", library.cublasSetMathMode(self.handle, DEFAULT_MATH))

    def gemm(self, gemm: Gemm, arguments: Arguments, addresses: Mapping[str, int]) -> Callable[[], None]:
        """Returns the function that enqueues the product.

        cuBLAS stores matrices by columns and so reads a matrix of rows as its transpose: the call computes c^T = b^T
        a^T, and no operand needs to be transposed.
        """
        m, n, k = (int(arguments[name]) for name in gemm.dimensions)
        a, b, c = (
            (ctypes.c_void_p(addresses[name]), TYPES[arguments[name].dtype], columns)
            for name, columns in zip(gemm.arrays, (k, n, n), strict=True)
        )
        one, zero = ctypes.c_float(1), ctypes.c_float(0)  # read by the host at each call
        call = self.library.cublasGemmEx

        def enqueue() -> None:
            status = call(
                self.handle, NO_TRANSPOSE, NO_TRANSPOSE, n, m, k, ctypes.byref(one), *b, *a, ctypes.byref(zero), *c,
                COMPUTE_F32, DEFAULT_ALGORITHM,
            )  # fmt: skip
            self.check("cublasGemmEx", status)

        return enqueue

    @staticmethod
    def check(name: str, status: int) -> None:
        if status:
            raise MachineError(f"cuBLAS: {name} failed with cublasStatus_t {status}.")
