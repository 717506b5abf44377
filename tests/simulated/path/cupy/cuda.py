"""CuPy's layer over CUDA: names, arguments and errors as CuPy 14 has them, over the simulated device."""

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

time.perf_counter_ns = lambda: int(gpu.host)  # what the host takes is virtual too


@contextmanager
def call(name: str, *, context: bool = True) -> Iterator[None]:
    """A call of CUDA by its name in C. Its failure is the runtime's error or the driver's, by the name."""
    try:
        gpu.call(name, context=context)
        yield
    except Failure as failure:
        raise (CUDADriverError if name.startswith("cu") and name[2].isupper() else CUDARuntimeError)(
            failure.status
        ) from None


# ---- memory


class OutOfMemoryError(MemoryError):
    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        self._size, self._total, self._limit = size, total, limit
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes).")


def malloc(size: int) -> int:
    with call("cudaMalloc"):
        return gpu.memory.malloc(size)


def release(address: int) -> None:
    with call("cudaFree"):
        gpu.drain_all()  # cudaFree waits for the device
        gpu.memory.free(address)


def malloc_for_pool(size: int) -> int:
    try:
        return malloc(size)
    except CUDARuntimeError as error:
        if error.status != 2:
            raise
        raise Failure(2) from None


pool = Pool(gpu.memory, malloc_for_pool, release)


class MemoryPointer:
    """A pooled block; it goes back to the pool with the object."""

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
        except Failure:
            if collect:
                gc.collect()
    raise OutOfMemoryError(-(-size // 512) * 512, gpu.memory.used)


class MemoryPool:
    """The default pool."""

    free_all_blocks = staticmethod(lambda stream=None: pool.trim() and None)
    used_bytes = staticmethod(lambda: sum(each.size for each in gpu.memory.blocks.values()))
    free_bytes = staticmethod(lambda: pool.kept)
    total_bytes = staticmethod(lambda: gpu.memory.used)


memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError, MemoryPointer=MemoryPointer, alloc=alloc)


# ---- streams, events, graphs


class Stream:
    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        if null:
            self.ptr = 0
            return
        with call("cudaStreamCreateWithFlags"):
            self.ptr = gpu.make_stream(blocking=not non_blocking).handle

    def synchronize(self) -> None:
        with call("cudaStreamSynchronize"):
            gpu.drain(gpu.stream(self.ptr))

    def begin_capture(self, mode: int | None = None) -> None:
        with call("cudaStreamBeginCapture"):
            stream = gpu.stream(self.ptr)
            if stream.capture is not None or not self.ptr:
                raise Failure(401 if self.ptr else 900)
            stream.capture = []

    def end_capture(self) -> Graph:
        with call("cudaStreamEndCapture"):
            nodes = gpu.end_capture(gpu.stream(self.ptr))
        with call("cudaGraphInstantiate"):
            return Graph(nodes)

    def is_capturing(self) -> bool:
        with call("cudaStreamIsCapturing"):
            return gpu.stream(self.ptr).capture is not None

    def record(self, event: Event | None = None) -> Event:
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        with call("cudaStreamWaitEvent"):
            gpu.enqueue(gpu.stream(self.ptr), lambda start: gpu.wait(event.own) or 0.0)

    @property
    def done(self) -> bool:
        with call("cudaStreamQuery"):
            return not gpu.stream(self.ptr).queue


class Event:
    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.ptr = 0
        with call("cudaEventCreateWithFlags"):
            self.own = simulated.Event(next(gpu.numbers))
            self.ptr = self.own.handle

    def __del__(self) -> None:
        if self.ptr:
            with call("cudaEventDestroy"):  # on a device that is lost it fails, and Python prints that
                pass

    def record(self, stream: Stream | None = None) -> None:
        with call("cudaEventRecord"):
            gpu.record(self.own, gpu.stream(0 if stream is None else stream.ptr))

    def synchronize(self) -> None:
        with call("cudaEventSynchronize"):
            gpu.wait(self.own)

    @property
    def done(self) -> bool:
        with call("cudaEventQuery"):
            return self.own.time is not None


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    with call("cudaEventElapsedTime"):
        return float(np.float32(gpu.elapsed_ms(start_event.own, end_event.own)))


class Graph:
    def __init__(self, nodes: list[simulated.Operation]) -> None:
        self.nodes = nodes
        self.graph = self.graphExec = next(gpu.numbers)

    def upload(self, stream: Stream | None = None) -> None:
        with call("cudaGraphUpload"):
            gpu.enqueue(gpu.stream(0 if stream is None else stream.ptr), lambda start: 0.0)

    def launch(self, stream: Stream | None = None) -> None:
        with call("cudaGraphLaunch"):
            gpu.host += 100 * len(self.nodes)
            gpu.enqueue_graph(gpu.stream(0 if stream is None else stream.ptr), self.nodes)


graph = SimpleNamespace(Graph=Graph)
stream = SimpleNamespace(Stream=Stream, Event=Event, get_elapsed_time=get_elapsed_time)


# ---- modules and kernels


class Function:
    def __init__(self, module: Module, funcname: str) -> None:
        self.module = module
        with call("cuModuleGetFunction"):
            self.kernel = module.own.kernel(funcname)
        self.ptr = next(gpu.numbers)
        gpu.functions[self.ptr] = self.kernel

    def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0, stream: Any = None) -> None:
        content = [np.asarray(each).tobytes() for each in args]
        driver.launchKernel(self.ptr, *padded(grid), *padded(block), shared_mem, stream.ptr if stream else 0, content)


class Module:
    def load(self, cubin: bytes) -> None:
        with call("cuModuleLoadData"):
            self.own = kernels.load(bytes(cubin), gpu.script)
        self.ptr = next(gpu.numbers)

    def get_function(self, name: str) -> Function:
        return Function(self, name)


def padded(extent: Any) -> tuple[int, int, int]:
    """Three extents; CuPy makes 0 a 1."""
    x, y, z = (*(max(int(each), 1) for each in extent), 1, 1)[:3]
    return x, y, z


function = SimpleNamespace(Module=Module, Function=Function)


# ---- the driver and the runtime

ATTRIBUTES: dict[str, tuple[int, Callable[[kernels.Kernel], int]]] = {
    "MAX_THREADS_PER_BLOCK": (0, lambda kernel: kernel.max_threads),
    "SHARED_SIZE_BYTES": (1, lambda kernel: kernel.resources.shared_bytes),
    "LOCAL_SIZE_BYTES": (3, lambda kernel: kernel.resources.stack_bytes),
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

    def launchKernel(self, f: int, *launch: Any) -> None:
        """grid, block, shared memory, stream, and the parameters' bytes in place of CuPy's pointer to them."""
        with call("cuLaunchKernel"):
            gpu.start(f, launch[0:3], launch[3:6], launch[6], launch[7], launch[8])


driver: Any = Driver(**{f"CU_FUNC_ATTRIBUTE_{name}": number for name, (number, _) in ATTRIBUTES.items()})

DEVICE_ATTRIBUTES: dict[str, tuple[int, Callable[[], int]]] = {
    "MaxThreadsPerBlock": (1, lambda: 1024),
    "MaxGridDimX": (5, lambda: kernels.MOST_CTAS[0]),
    "MaxGridDimY": (6, lambda: kernels.MOST_CTAS[1]),
    "MaxGridDimZ": (7, lambda: kernels.MOST_CTAS[2]),
    "MaxSharedMemoryPerBlock": (8, lambda: 48 << 10),
    "WarpSize": (10, lambda: 32),
    "MultiProcessorCount": (16, lambda: gpu.device.sms),
    "ComputeMode": (20, lambda: 3 if gpu.script.exclusive else 0),
    "L2CacheSize": (38, lambda: gpu.device.l2_bytes),
    "MaxThreadsPerMultiProcessor": (39, lambda: gpu.device.sm_threads),
    "MaxSharedMemoryPerMultiprocessor": (81, lambda: gpu.device.sm_shared_bytes),
    "MaxRegistersPerMultiprocessor": (82, lambda: kernels.SM_REGISTERS),
    "CooperativeLaunch": (95, lambda: 1),
    "MaxSharedMemoryPerBlockOptin": (97, lambda: gpu.device.optin_shared_bytes),
}


CLUSTER_LAUNCH = 120  # CuPy has no name for it


class Runtime(SimpleNamespace):
    """`cupy.cuda.runtime`."""

    CUDARuntimeError = CUDARuntimeError
    memcpyHostToHost, memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice = range(4)
    streamCaptureModeGlobal, streamCaptureModeThreadLocal, streamCaptureModeRelaxed = range(3)
    malloc = staticmethod(malloc)
    free = staticmethod(release)

    def getDeviceCount(self) -> int:
        with call("cudaGetDeviceCount", context=False):
            return 1

    def driverGetVersion(self) -> int:
        return gpu.script.driver

    def deviceGetAttribute(self, attrib: int, device: int) -> int:
        with call("cudaDeviceGetAttribute", context=False):
            if attrib == CLUSTER_LAUNCH:
                return int(gpu.device.clusters)
            return next(read for number, read in DEVICE_ATTRIBUTES.values() if number == attrib)()

    def getDeviceProperties(self, device: int) -> dict[str, Any]:
        with call("cudaGetDeviceProperties", context=False):
            of = gpu.device
            return {
                "name": of.name.encode(),
                "major": of.capability[0],
                "minor": of.capability[1],
                "multiProcessorCount": of.sms,
                "totalGlobalMem": of.memory_bytes,
                "l2CacheSize": of.l2_bytes,
                "ECCEnabled": int(of.ecc),
                "sharedMemPerBlock": 48 << 10,
                "sharedMemPerBlockOptin": of.optin_shared_bytes,
                "sharedMemPerMultiprocessor": of.sm_shared_bytes,
                "maxThreadsPerBlock": 1024,
                "maxThreadsPerMultiProcessor": of.sm_threads,
                "regsPerBlock": kernels.SM_REGISTERS,
                "cooperativeLaunch": 1,
                "computeMode": 3 if gpu.script.exclusive else 0,
            }

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

    def memcpy(self, dst: int, src: int, size: int, kind: int) -> None:
        """On the null stream, which waits for no stream that is not blocking."""
        with call("cudaMemcpy"):
            if any(each.capture is not None and each.blocking for each in gpu.streams.values()):
                raise Failure(906)
            for each in gpu.streams.values():
                if each.blocking:
                    gpu.drain(each)
            gpu.enqueue(gpu.stream(0), gpu.copy(dst, src, size, kind))
            gpu.drain(gpu.stream(0))

    def deviceSynchronize(self) -> None:
        with call("cudaDeviceSynchronize"):
            gpu.drain_all()

    def streamSynchronize(self, stream: int) -> None:
        with call("cudaStreamSynchronize"):
            gpu.drain(gpu.stream(stream))


runtime: Any = Runtime(**{f"cudaDevAttr{name}": number for name, (number, _) in DEVICE_ATTRIBUTES.items()})
