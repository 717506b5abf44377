"""CuPy's layer over CUDA, as far as ptxbench uses it: names, arguments and errors as CuPy 14 has them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from simulated_gpu import gpu as simulated
from simulated_gpu import kernels
from simulated_gpu.errors import CUDADriverError, CUDARuntimeError, Failure
from simulated_gpu.gpu import Gpu
from simulated_gpu.memory import Block, Pool

gpu: Gpu = simulated.gpu()

time.perf_counter_ns = lambda: int(gpu.host)  # the host's time is virtual too


@contextmanager
def call(name: str, *, context: bool = True) -> Iterator[None]:
    """A call of CUDA by its name in C. Its failure is the runtime's error or the driver's, by the name."""
    try:
        gpu.call(name, context=context)
        yield
    except Failure as failure:
        kind = CUDARuntimeError if name.startswith("cuda") else CUDADriverError
        raise kind(failure.status) from None


# ---- memory


class OutOfMemoryError(MemoryError):
    def __init__(self, size: int, total: int) -> None:
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes).")


def malloc(size: int) -> int:
    """cudaMalloc for the pool; the pool turns an out-of-memory failure into its own error."""
    gpu.call("cudaMalloc")
    return gpu.memory.malloc(size)


def release(address: int) -> None:
    with call("cudaFree"):
        gpu.drain_all()  # cudaFree waits for the device
        gpu.memory.free(address)


pool = Pool(gpu.memory, malloc, release)


class MemoryPointer:
    """A block of the pool; it returns there when the object is destroyed."""

    def __init__(self, block: Block) -> None:
        self.mem, self.ptr = block, block.address

    def __del__(self) -> None:
        pool.give(self.mem)

    def memset_async(self, value: int, size: int, stream: Any = None) -> None:
        runtime.memsetAsync(self.ptr, value, size, 0 if stream is None else stream.ptr)


def alloc(size: int) -> MemoryPointer:
    """From the pool. CuPy collects garbage before it gives up."""
    for collect in (True, False):
        try:
            return MemoryPointer(pool.take(size))
        except Failure as failure:
            if failure.status != 2:
                raise CUDARuntimeError(failure.status) from None
            if collect:
                gc.collect()
    raise OutOfMemoryError(-(-size // 512) * 512, gpu.memory.used)


class MemoryPool:
    """The default pool."""

    free_all_blocks = staticmethod(lambda stream=None: pool.trim() and None)
    free_bytes = staticmethod(lambda: pool.kept)


memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError)


# ---- streams, events, graphs


class Stream:
    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        with call("cudaStreamCreateWithFlags"):
            if null or not non_blocking:
                raise NotImplementedError("The simulated device has no streams that wait for the null stream.")
            self.ptr = gpu.make_stream().handle

    def synchronize(self) -> None:
        with call("cudaStreamSynchronize"):
            gpu.drain(gpu.stream(self.ptr))

    def begin_capture(self, mode: int | None = None) -> None:
        with call("cudaStreamBeginCapture"):
            gpu.begin_capture(gpu.stream(self.ptr))

    def end_capture(self) -> Graph:
        with call("cudaStreamEndCapture"):
            nodes = gpu.end_capture(gpu.stream(self.ptr))
        with call("cudaGraphInstantiate"):
            return Graph(nodes)


class Event:
    def __init__(self) -> None:
        self.ptr = 0
        with call("cudaEventCreateWithFlags"):
            self.own = simulated.Event(next(gpu.numbers))
            self.ptr = self.own.handle

    def __del__(self) -> None:
        if self.ptr:
            with call("cudaEventDestroy"):  # on a device that is lost it fails, and Python prints that
                pass

    def record(self, stream: Stream) -> None:
        with call("cudaEventRecord"):
            gpu.record(self.own, gpu.stream(stream.ptr))

    def synchronize(self) -> None:
        with call("cudaEventSynchronize"):
            gpu.wait(self.own)


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    with call("cudaEventElapsedTime"):
        return float(np.float32(gpu.elapsed_ms(start_event.own, end_event.own)))


class Graph:
    def __init__(self, nodes: list[simulated.Operation]) -> None:
        self.nodes = nodes

    def upload(self, stream: Stream) -> None:
        with call("cudaGraphUpload"):
            gpu.enqueue(gpu.stream(stream.ptr), lambda start: 0.0)

    def launch(self, stream: Stream) -> None:
        with call("cudaGraphLaunch"):
            gpu.host += simulated.NODE_NS * len(self.nodes)
            gpu.enqueue_graph(gpu.stream(stream.ptr), self.nodes)


# ---- modules and kernels


class Function:
    def __init__(self, module: Module, funcname: str) -> None:
        self.module = module
        with call("cuModuleGetFunction"):
            kernel = module.own.kernel(funcname)
        self.ptr = next(gpu.numbers)
        gpu.functions[self.ptr] = kernel

    def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0, stream: Any = None) -> None:
        content = [np.asarray(arg).tobytes() for arg in args]
        with call("cuLaunchKernel"):
            gpu.start(self.ptr, padded(grid), padded(block), shared_mem, stream.ptr, content)


class Module:
    def load(self, cubin: bytes) -> None:
        with call("cuModuleLoadData"):
            self.own = kernels.load(bytes(cubin), gpu.script)

    def get_function(self, name: str) -> Function:
        return Function(self, name)


def padded(extent: Any) -> tuple[int, int, int]:
    """Three extents; CuPy makes 0 a 1."""
    x, y, z = (*(max(int(count), 1) for count in extent), 1, 1)[:3]
    return x, y, z


function = SimpleNamespace(Module=Module, Function=Function)


# ---- the driver and the runtime

ATTRIBUTES: dict[str, tuple[int, Callable[[kernels.Kernel], int]]] = {
    "MAX_THREADS_PER_BLOCK": (0, lambda kernel: kernel.max_threads),
    "SHARED_SIZE_BYTES": (1, lambda kernel: kernel.resources.shared_bytes),
    "NUM_REGS": (4, lambda kernel: kernel.resources.registers),
    "MAX_DYNAMIC_SHARED_SIZE_BYTES": (8, lambda kernel: kernel.dynamic_bytes),
}


class Driver(SimpleNamespace):
    """`cupy.cuda.driver`."""

    CUDADriverError = CUDADriverError

    def funcGetAttribute(self, attribute: int, func: int) -> int:
        with call("cuFuncGetAttribute"):
            return next(read for number, read in ATTRIBUTES.values() if number == attribute)(gpu.functions[func])

    def funcSetAttribute(self, func: int, attribute: int, value: int) -> None:
        with call("cuFuncSetAttribute"):
            gpu.functions[func].allow(gpu.device, attribute, value)

    def check_status(self, status: int) -> None:
        if status:
            raise CUDADriverError(status)

    def occupancyMaxActiveBlocksPerMultiprocessor(self, func: int, threads: int, shared: int) -> int:
        with call("cuOccupancyMaxActiveBlocksPerMultiprocessor"):
            return gpu.functions[func].resident(gpu.device, threads, shared)


driver: Any = Driver(**{f"CU_FUNC_ATTRIBUTE_{name}": number for name, (number, _) in ATTRIBUTES.items()})

DEVICE_ATTRIBUTES: dict[str, tuple[int, Callable[[], int]]] = {
    "MaxThreadsPerBlock": (1, lambda: kernels.MAX_THREADS),
    "MaxGridDimX": (5, lambda: kernels.MOST_CTAS[0]),
    "MaxGridDimY": (6, lambda: kernels.MOST_CTAS[1]),
    "MaxGridDimZ": (7, lambda: kernels.MOST_CTAS[2]),
    "MultiProcessorCount": (16, lambda: gpu.device.sms),
    "ComputeMode": (20, lambda: 3 if gpu.script.exclusive else 0),
    "CooperativeLaunch": (95, lambda: 1),
    "MaxSharedMemoryPerBlockOptin": (97, lambda: gpu.device.optin_shared_bytes),
}

CLUSTER_LAUNCH, SET_ASIDE = 120, 108  # CuPy has no names for them


class Runtime(SimpleNamespace):
    """`cupy.cuda.runtime`."""

    CUDARuntimeError = CUDARuntimeError
    memcpyHostToHost, memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice = range(4)

    def getDeviceCount(self) -> int:
        with call("cudaGetDeviceCount", context=False):
            return 1

    def deviceGetAttribute(self, attrib: int, device: int) -> int:
        with call("cudaDeviceGetAttribute", context=False):
            if attrib == CLUSTER_LAUNCH:
                return int(gpu.device.clusters)
            if attrib == SET_ASIDE:
                return gpu.device.l2_bytes * 3 // 4 if gpu.device.capability >= (8, 0) else 0
            return next(read for number, read in DEVICE_ATTRIBUTES.values() if number == attrib)()

    def getDeviceProperties(self, device: int) -> dict[str, Any]:
        figures = gpu.device
        with call("cudaGetDeviceProperties", context=False):
            return {
                "name": figures.name.encode(), "major": figures.capability[0], "minor": figures.capability[1],
                "multiProcessorCount": figures.sms, "totalGlobalMem": figures.memory_bytes,
                "l2CacheSize": figures.l2_bytes,
                "maxThreadsPerMultiProcessor": figures.sm_threads,
                "ECCEnabled": int(figures.ecc),
            }  # fmt: skip

    def deviceGetPCIBusId(self, device: int) -> str:
        with call("cudaDeviceGetPCIBusId", context=False):
            return "0000:01:00.0"

    def memGetInfo(self) -> tuple[int, int]:
        with call("cudaMemGetInfo"):
            return gpu.memory.total - gpu.memory.used, gpu.memory.total

    def memsetAsync(self, ptr: int, value: int, size: int, stream: int) -> None:
        with call("cudaMemsetAsync"):
            gpu.enqueue(gpu.stream(stream), gpu.fill(ptr, value, size))

    def memcpyAsync(self, dst: int, src: int, size: int, kind: int, stream: int) -> None:
        with call("cudaMemcpyAsync"):
            gpu.enqueue(gpu.stream(stream), gpu.copy(dst, src, size, kind))


runtime: Any = Runtime(**{f"cudaDevAttr{name}": number for name, (number, _) in DEVICE_ATTRIBUTES.items()})
