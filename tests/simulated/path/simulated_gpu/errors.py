"""CUDA's statuses, by number: the driver's name, the runtime's name, and the words of both."""

from __future__ import annotations

STATUSES = {
    1: ("CUDA_ERROR_INVALID_VALUE", "cudaErrorInvalidValue", "invalid argument"),
    2: ("CUDA_ERROR_OUT_OF_MEMORY", "cudaErrorMemoryAllocation", "out of memory"),
    3: ("CUDA_ERROR_NOT_INITIALIZED", "cudaErrorInitializationError", "initialization error"),
    9: ("CUDA_ERROR_INVALID_VALUE", "cudaErrorInvalidConfiguration", "invalid configuration argument"),
    35: ("CUDA_ERROR_UNKNOWN", "cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime "
         "version"),
    46: ("CUDA_ERROR_DEVICE_UNAVAILABLE", "cudaErrorDevicesUnavailable", "CUDA-capable device(s) is/are busy or "
         "unavailable"),
    100: ("CUDA_ERROR_NO_DEVICE", "cudaErrorNoDevice", "no CUDA-capable device is detected"),
    200: ("CUDA_ERROR_INVALID_IMAGE", "cudaErrorInvalidKernelImage", "device kernel image is invalid"),
    201: ("CUDA_ERROR_INVALID_CONTEXT", "cudaErrorDeviceUninitialized", "invalid device context"),
    209: ("CUDA_ERROR_NO_BINARY_FOR_GPU", "cudaErrorNoKernelImageForDevice", "no kernel image is available for "
          "execution on the device"),
    214: ("CUDA_ERROR_ECC_UNCORRECTABLE", "cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"),
    218: ("CUDA_ERROR_INVALID_PTX", "cudaErrorInvalidPtx", "a PTX JIT compilation failed"),
    221: ("CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "cudaErrorJitCompilerNotFound", "PTX JIT compiler library not found"),
    222: ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "cudaErrorUnsupportedPtxVersion", "the provided PTX was compiled with "
          "an unsupported toolchain."),
    226: ("CUDA_ERROR_CONTAINED", "cudaErrorContained", "Invalid access of peer GPU memory over nvlink or a hardware "
          "error"),
    304: ("CUDA_ERROR_OPERATING_SYSTEM", "cudaErrorOperatingSystem", "OS call failed or operation not supported on "
          "this OS"),
    400: ("CUDA_ERROR_INVALID_HANDLE", "cudaErrorInvalidResourceHandle", "invalid resource handle"),
    401: ("CUDA_ERROR_ILLEGAL_STATE", "cudaErrorIllegalState", "the operation cannot be performed in the present "
          "state"),
    500: ("CUDA_ERROR_NOT_FOUND", "cudaErrorSymbolNotFound", "named symbol not found"),
    600: ("CUDA_ERROR_NOT_READY", "cudaErrorNotReady", "device not ready"),
    700: ("CUDA_ERROR_ILLEGAL_ADDRESS", "cudaErrorIllegalAddress", "an illegal memory access was encountered"),
    701: ("CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "cudaErrorLaunchOutOfResources", "too many resources requested for "
          "launch"),
    702: ("CUDA_ERROR_LAUNCH_TIMEOUT", "cudaErrorLaunchTimeout", "the launch timed out and was terminated"),
    709: ("CUDA_ERROR_CONTEXT_IS_DESTROYED", "cudaErrorContextIsDestroyed", "context is destroyed"),
    710: ("CUDA_ERROR_ASSERT", "cudaErrorAssert", "device-side assert triggered"),
    714: ("CUDA_ERROR_HARDWARE_STACK_ERROR", "cudaErrorHardwareStackError", "hardware stack error"),
    715: ("CUDA_ERROR_ILLEGAL_INSTRUCTION", "cudaErrorIllegalInstruction", "an illegal instruction was encountered"),
    716: ("CUDA_ERROR_MISALIGNED_ADDRESS", "cudaErrorMisalignedAddress", "misaligned address"),
    717: ("CUDA_ERROR_INVALID_ADDRESS_SPACE", "cudaErrorInvalidAddressSpace", "operation not supported on "
          "global/shared address space"),
    718: ("CUDA_ERROR_INVALID_PC", "cudaErrorInvalidPc", "invalid program counter"),
    719: ("CUDA_ERROR_LAUNCH_FAILED", "cudaErrorLaunchFailure", "unspecified launch failure"),
    720: ("CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "cudaErrorCooperativeLaunchTooLarge", "too many blocks in "
          "cooperative launch"),
    721: ("CUDA_ERROR_TENSOR_MEMORY_LEAK", "cudaErrorTensorMemoryLeak", "tensor memory not completely freed"),
    802: ("CUDA_ERROR_SYSTEM_NOT_READY", "cudaErrorSystemNotReady", "system not yet initialized"),
    810: ("CUDA_ERROR_MPS_CLIENT_TERMINATED", "cudaErrorMpsClientTerminated", "the MPS client has been terminated by "
          "the server"),
    900: ("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "cudaErrorStreamCaptureUnsupported", "operation not permitted when "
          "stream is capturing"),
    901: ("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "cudaErrorStreamCaptureInvalidated", "operation failed due to a "
          "previous error during capture"),
    906: ("CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "cudaErrorStreamCaptureImplicit", "operation would make the legacy "
          "stream depend on a capturing blocking stream"),
    911: ("CUDA_ERROR_EXTERNAL_DEVICE", "cudaErrorExternalDevice", "an async error has occured in external entity "
          "outside of CUDA"),
    912: ("CUDA_ERROR_INVALID_CLUSTER_SIZE", "cudaErrorInvalidClusterSize", "cluster misconfiguration"),
    999: ("CUDA_ERROR_UNKNOWN", "cudaErrorUnknown", "unknown error"),
}  # fmt: skip

STICKY = frozenset({214, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911})
"""After these the context is of no use: every later call gives the same status. (cuda.h, CUresult; 214 by use.)"""


class Failure(Exception):
    """A call fails with this status; the layer above makes it the error of its own kind."""

    def __init__(self, status: int) -> None:
        super().__init__(STATUSES[status][0])
        self.status = status


class CUDARuntimeError(RuntimeError):
    """As CuPy's."""

    def __init__(self, status: int) -> None:
        self.status = status
        _, name, words = STATUSES[status]
        super().__init__(f"{name}: {words}")


class CUDADriverError(RuntimeError):
    """As CuPy's."""

    def __init__(self, status: int) -> None:
        self.status = status
        name, _, words = STATUSES[status]
        super().__init__(f"{name}: {words}")
