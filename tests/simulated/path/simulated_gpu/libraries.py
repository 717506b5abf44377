"""NVIDIA's libraries as ctypes finds them, of the simulated device: the driver's, and NVML's. Imports little."""

from __future__ import annotations

import ctypes
import math
import operator
import os
from collections.abc import Callable
from typing import Any

CDLL = ctypes.CDLL

NVML_UNINITIALIZED, NVML_NOT_SUPPORTED, NVML_LIBRARY_NOT_FOUND = 1, 3, 12
COOPERATIVE, CLUSTER, FOLLOWS = 2, 4, 6
"""From CUlaunchAttributeID."""


class Value(ctypes.Union):
    _fields_ = (("pad", ctypes.c_char * 64), ("cluster", ctypes.c_uint * 3), ("cooperative", ctypes.c_int))


class Attribute(ctypes.Structure):
    _fields_ = (("id", ctypes.c_int), ("pad", ctypes.c_char * 4), ("value", Value))


class Config(ctypes.Structure):
    """cuda.h, CUlaunchConfig."""

    _fields_ = (
        ("grid", ctypes.c_uint * 3), ("block", ctypes.c_uint * 3), ("shared_bytes", ctypes.c_uint),
        ("stream", ctypes.c_void_p), ("attributes", ctypes.POINTER(Attribute)), ("attribute_count", ctypes.c_uint),
    )  # fmt: skip


def find(name: Any, *arguments: Any, **options: Any) -> Any:
    """Replaces ctypes.CDLL."""
    from simulated_gpu import description

    missing = description.read().unloadable
    for library, library_class in (("libcuda.so.1", Driver), ("libnvidia-ml.so.1", Management)):
        if name == library:
            if library.partition(".")[0] in missing:
                raise OSError(f"{name}: cannot open shared object file: No such file or directory")
            return library_class()
    return CDLL(name, *arguments, **options)


def replace() -> None:
    ctypes.CDLL = find  # type: ignore[assignment,misc]


def put(pointer: Any, value: Any, field: str = "value") -> None:
    """Write where a byref or a pointer points."""
    target = pointer._obj if hasattr(pointer, "_obj") else pointer.contents
    setattr(target, field, value)


def guarded(action: Callable[..., int | None]) -> Callable[..., int]:
    """A C function: it returns a status and raises nothing."""

    def call(*arguments: Any) -> int:
        from simulated_gpu.errors import Failure

        try:
            return action(*arguments) or 0
        except Failure as failure:
            return failure.status

    return call


class Library:
    """A library of C. It makes the device only when a function is called."""

    def __init__(self) -> None:
        for name in [function for function in dir(type(self)) if function.startswith(("cu", "nvml"))]:
            setattr(self, name, guarded(getattr(self, name)))

    @property
    def gpu(self) -> Any:
        from simulated_gpu.gpu import gpu

        return gpu()


class Driver(Library):
    """libcuda, as far as calls do not go through CuPy."""

    def cuInit(self, flags: int) -> None:
        self.gpu.call("cuInit", context=False)

    def cuDriverGetVersion(self, version: Any) -> None:
        put(version, self.gpu.script.driver)

    def cuCtxSetLimit(self, limit: int, value: Any) -> None:
        self.gpu.call("cuCtxSetLimit")

    def cuCtxResetPersistingL2Cache(self) -> None:
        self.gpu.call("cuCtxResetPersistingL2Cache")

    def cuLaunchKernelEx(self, config: Any, function: Any, params: Any, extra: Any) -> int:
        gpu, settings = self.gpu, self.config(config)
        gpu.call("cuLaunchKernelEx")
        kernel = gpu.functions[function.value]
        grid, cluster = tuple(settings.grid), None
        for attribute in settings.attributes[: settings.attribute_count]:
            if attribute.id == CLUSTER:
                cluster = tuple(attribute.value.cluster)
            if attribute.id == COOPERATIVE and attribute.value.cooperative:
                held = gpu.device.sms * kernel.resident(gpu.device, math.prod(settings.block), settings.shared_bytes)
                if math.prod(grid) > held:
                    return 720
            if attribute.id == FOLLOWS and not gpu.device.clusters:
                return 1
        if cluster not in (None, (1, 1, 1)) and not gpu.device.clusters:
            return 1
        if cluster and (math.prod(cluster) > kernel.most_cluster or any(map(operator.mod, grid, cluster))):
            return 912
        sizes = [param.size_bytes for param in kernel.function.params]
        content = [ctypes.string_at(at, size) for at, size in zip(params, sizes, strict=True)]
        gpu.start(
            function.value, grid, tuple(settings.block), settings.shared_bytes, settings.stream or 0, content, cluster
        )
        return 0

    def cuOccupancyMaxActiveClusters(self, count: Any, function: Any, config: Any) -> int:
        gpu, settings = self.gpu, self.config(config)
        gpu.call("cuOccupancyMaxActiveClusters")
        kernel = gpu.functions[function.value]
        ctas = math.prod(settings.attributes[0].value.cluster)
        if ctas > kernel.most_cluster:
            return 912
        held = gpu.device.sms * kernel.resident(gpu.device, math.prod(settings.block), settings.shared_bytes)
        put(count, held // ctas)
        return 0

    def cuTensorMapEncodeTiled(self, target: Any, element: Any, rank: Any, address: Any, *fields: Any) -> int:
        """The fields at the bits of the hardware's layout, as far as machine code of ptxas shows it; the rest is 0."""
        self.gpu.call("cuTensorMapEncodeTiled")
        shape, strides, box, steps = (list(field) for field in fields[:4])
        interleave, swizzle, promotion, fill = (field.value for field in fields[4:])
        many, least = range(rank.value), 3 if interleave else 1
        if not least <= rank.value <= 5 or address.value % 16 or any(strides[i] % 16 for i in many[1:] and many[:-1]):
            return 1
        kind = {8: 9, 9: 10, 10: 8}.get(element.value, element.value)  # tensormap.replace has f64, bf16, f32.ftz so
        pieces = [
            (0, address.value),
            (68, rank.value - 1),
            (71, kind),
            (75, interleave),
            (77, swizzle),
            (79, fill),
        ]
        pieces += [
            (81, promotion),
            (83, max(swizzle - 3, 0)),
            (440, box[0] - 1),
            *((440 + 8 * i, box[i] - 1) for i in many[1:]),
        ]
        for i in many:
            pieces += [(256 + 32 * i, shape[i] - 1), (416 + 3 * i, steps[i] - 1)]
        for i in many[:-1]:
            pieces += [(96 + 32 * i, strides[i] // 16 % 2**32), (224 + 4 * i, strides[i] // 16 >> 32)]
        put(target, sum(value << bit for bit, value in pieces).to_bytes(128, "little"), "raw")
        return 0

    @staticmethod
    def config(pointer: Any) -> Any:
        """CUlaunchConfig, read by our own layout of it and not by the caller's."""
        return Config.from_address(ctypes.addressof(pointer._obj))


TYPES = {0: "<f4", 2: "<f2"}
"""From cudaDataType."""


class Cublas(Library):
    """cuBLAS, as far as it is used: one f32 product of matrices with contiguous columns."""

    def cublasCreate_v2(self, handle: Any) -> None:
        self.gpu.call("cublasCreate_v2")
        put(handle, 1)

    def cublasSetStream_v2(self, handle: Any, stream: Any) -> None:
        self.gpu.call("cublasSetStream_v2")
        self.stream = stream.value

    def cublasSetMathMode(self, handle: Any, mode: int) -> int:
        return 0 if mode == 0 else 15

    def cublasGemmEx(self, handle: Any, transa: int, transb: int, m: int, n: int, k: int, *rest: Any) -> int:
        import numpy as np

        alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc, compute, algorithm = rest
        gpu = self.gpu
        gpu.call("cublasGemmEx")
        if transa or transb or compute != 68 or algorithm != -1 or (alpha._obj.value, beta._obj.value) != (1, 0):
            return 15
        if min(lda - m, ldb - k, ldc - m) < 0:
            return 7

        def matrix(address: Any, kind: int, rows: int, columns: int, leading: int) -> Any:
            size = leading * columns * np.dtype(TYPES[kind]).itemsize
            region, start = gpu.memory.find(address.value, size)
            return region.read(start, size).view(TYPES[kind]).reshape(columns, leading)[:, :rows].T

        def perform(start: float) -> float:
            product = matrix(a, a_type, m, k, lda).astype("f4") @ matrix(b, b_type, k, n, ldb).astype("f4")
            gpu.memory.put(c.value, np.ascontiguousarray(product.T.astype(TYPES[c_type])).tobytes())
            return float(gpu.device.kernel_ns)

        gpu.enqueue(gpu.stream(self.stream), perform)
        return 0


class Management(Library):
    """NVML, for the real pynvml over it."""

    open = 0

    def nvmlInitWithFlags(self, flags: int) -> int:
        self.open += self.gpu.script.nvml
        return 0 if self.gpu.script.nvml else NVML_LIBRARY_NOT_FOUND

    def nvmlShutdown(self) -> int:
        self.open -= 1
        return 0

    def answer(self, *values: tuple[Any, Any]) -> int:
        if self.open < 1:
            return NVML_UNINITIALIZED
        for pointer, value in values:
            put(pointer, value)
        return 0

    def nvmlErrorString(self, status: int) -> bytes:
        return b"an error of NVML"

    def nvmlSystemGetDriverVersion(self, text: Any, size: Any) -> int:
        text.value = b"580.65.06"
        return self.answer()

    def nvmlDeviceGetHandleByPciBusId_v2(self, bus: Any, device: Any) -> int:
        return self.answer()

    def nvmlDeviceGetUUID(self, device: Any, text: Any, size: Any) -> int:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
        text.value = f"GPU-{self.gpu.device.name}-{visible}".encode()
        return self.answer()

    def nvmlDeviceGetMigMode(self, device: Any, current: Any, pending: Any) -> int:
        return self.answer((current, 0), (pending, 0)) if self.gpu.device.clusters else NVML_NOT_SUPPORTED

    def nvmlDeviceGetEnforcedPowerLimit(self, device: Any, milliwatts: Any) -> int:
        return self.answer((milliwatts, 1000 * self.gpu.device.power_limit_w))

    def nvmlDeviceGetClockInfo(self, device: Any, kind: Any, mhz: Any) -> int:
        return self.answer((mhz, round(self.gpu.clock[0])))

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, device: Any, reasons: Any) -> int:
        return self.answer((reasons, self.gpu.clock[1]))
