"""The local NVIDIA GPU: loads a build, runs it once and checks what it wrote, or times it with events.

The only importer of CuPy, and only when a GPU is requested. Code that needs no device (layout, guard zones, argument
packing) is in buffers.py, so that this module has little but calls.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ptxbench.backends import buffers
from ptxbench.backends.base import Arguments, Clock, LaunchOutcome, Names, Watch
from ptxbench.backends.checksum import Checksum
from ptxbench.backends.cublas import Cublas, find_cublas
from ptxbench.backends.device_buffers import DeviceBuffers
from ptxbench.backends.device_errors import (
    NO_DRIVER,
    NONE_VISIBLE,
    OUT_OF_MEMORY,
    failure,
    first_line,
    is_lost,
    no_gpu,
    silence,
    why_unavailable,
)
from ptxbench.backends.device_limits import LaunchLimits
from ptxbench.backends.driver import driver_cuda_version as driver_cuda_version
from ptxbench.backends.driver import find_driver as find_driver
from ptxbench.backends.event_clock import EventClock, nothing
from ptxbench.backends.flush import Flush, forget_persisting, marks_lines
from ptxbench.backends.hold import Hold
from ptxbench.backends.launching import Launcher
from ptxbench.backends.nvml import NvmlWatch, management
from ptxbench.backends.preparation import Preparation
from ptxbench.backends.set_aside import SetAside
from ptxbench.backends.timed_kernel import TimedKernel
from ptxbench.emulator import accuracy
from ptxbench.errors import DeviceError, MachineError
from ptxbench.libraries import Gemm
from ptxbench.pair import Launch, ceil_div
from ptxbench.result import COLD
from ptxbench.run_info import GPU, Device
from ptxbench.toolchain import Build, assembled_text

EMPTY = "the empty kernel"
"""The name of the empty kernel in messages."""

LAUNCHES = 20
"""How often a kernel runs on the same data, to check that its results have the same bits."""


class GpuBackend:
    """The local device, the first of CUDA_VISIBLE_DEVICES. Everything runs on one non-default stream.

    A build is loaded by cuModuleLoadData: its cubin, or its PTX text through the driver's JIT compiler if it has no
    cubin. The backend's own kernels are assembled by ptxas if it is installed. Once a kernel has failed on the device,
    its process can no longer use the GPU: every later call raises MachineError with the first failure.
    """

    name = "gpu"
    isolated = True

    def __init__(self, flush: Flush = Flush()) -> None:  # noqa: B008  it is frozen
        self.flush = flush
        self.kernels: dict[bytes, Any] = {}
        self.lost: str | None = None
        self.shared_buffers: tuple[Mapping[str, Any], DeviceBuffers] | None = None
        self.marking = False
        """Whether a loaded kernel can mark lines of L2 as persisting."""

    def __reduce__(self) -> tuple[type[GpuBackend], tuple[Flush]]:
        """A new backend in another process, because what is loaded here cannot be used there."""
        return GpuBackend, (self.flush,)

    @cached_property
    def cuda(self) -> Any:
        """CuPy's layer over CUDA."""
        # Otherwise the first launch loads the kernel, which would be timed if its module has just been loaded again.
        os.environ.setdefault("CUDA_MODULE_LOADING", "EAGER")
        import cupy

        return cupy.cuda

    @cached_property
    def stream(self) -> Any:
        return self.cuda.Stream(non_blocking=True)

    @cached_property
    def pool(self) -> Any:
        """CuPy's pool, which keeps freed memory."""
        import cupy

        return cupy.get_default_memory_pool()

    def unavailable(self) -> str | None:
        """Why there is no GPU here; None if there is one. Raises ToolMissing for one that does not work."""
        driver = find_driver()
        if driver is None:
            return NO_DRIVER
        if importlib.util.find_spec("cupy") is None:
            return no_gpu("CuPy is not installed (pip install 'ptxbench[cu13]')")
        try:
            runtime = self.cuda.runtime
        except Exception as error:  # a broken installation raises anything
            return no_gpu(f"CuPy cannot be imported ({first_line(error)})")
        try:
            count = runtime.getDeviceCount()
        except runtime.CUDARuntimeError as error:
            return why_unavailable(error.status, str(error), driver_cuda_version(driver))
        except Exception as error:  # CuPy looks for some libraries only when they are first used
            return no_gpu(f"CuPy does not work ({first_line(error)})")
        return None if count else NONE_VISIBLE

    def device(self) -> Device:
        """The GPU, for the run document. Values that NVML does not report are None."""
        runtime = self.cuda.runtime
        with self.reporting("the GPU"):
            properties, bus_id = runtime.getDeviceProperties(0), runtime.deviceGetPCIBusId(0)
        return Device(
            kind=GPU,
            name=properties["name"].decode(),
            sm=self.sm,
            sms=properties["multiProcessorCount"],
            threads_per_sm=properties["maxThreadsPerMultiProcessor"],
            memory_bytes=properties["totalGlobalMem"],
            l2_bytes=properties["l2CacheSize"],
            ecc=bool(properties["ECCEnabled"]),
            **management(bus_id),
        )

    def run(self, build: Build, launch: Launch, arguments: Arguments, outputs: Names) -> LaunchOutcome:
        """Launch once on copies of `arguments`; see base.Backend.

        Raises WrongResult if anything but `outputs` was written, DeviceError or MachineError for a failure that the
        driver reports, LaunchError for arguments or extents that no launch can have.
        """
        with self.reporting(build):
            memory = self.buffers(arguments, outputs)
            self.prepare(build, launch, arguments, memory)()
            written = self.fetch(build, memory, arguments, outputs)
        return LaunchOutcome(written, approximate=accuracy.opcodes(build.ptx))

    def again(self, build: Build, launch: Launch, arguments: Arguments, outputs: Names) -> Iterator[LaunchOutcome]:
        """See base.Backend: each launch has its own buffers, and its CTAs run in whatever order the GPU chooses."""
        for _ in range(LAUNCHES - 1):
            yield self.run(build, launch, arguments, outputs)

    def clock(
        self,
        build: Build,
        launch: Launch,
        arguments: Arguments,
        outputs: Names,
        *,
        updated: Names = (),
        scratch: Names = (),
        cache: str = COLD,
    ) -> Clock:
        """A clock by events. Clocks on one and the same `arguments` object share one set of device buffers.

        They take turns on the stream and each restores the outputs before its launch, so with shared buffers both sides
        of a pair have the same addresses and need half the memory.
        """
        with self.reporting(build):
            if self.shared_buffers is None or self.shared_buffers[0] is not arguments:
                self.shared_buffers = None  # free the last cell's buffers before this one's are allocated
                self.shared_buffers = arguments, self.buffers(arguments, outputs)
            memory = self.shared_buffers[1]
            if memory.arguments is not arguments:
                memory.refill(arguments)
            launch_once = self.prepare(build, launch, arguments, memory)
            memory.remember(outputs, updated, scratch)
            copies, as_wanted = 1, True
            if cache == COLD:
                copies, as_wanted = buffers.rotation(memory.nbytes, self.l2_bytes, self.free_bytes)
            kernel = TimedKernel(
                memory,
                lambda fresh: self.function(build, launch, fresh=fresh),
                lambda function, arrays: self.bound(
                    function, build.enqueued(launch), build.arguments(arrays.arguments), arrays
                ),
                lambda: [memory.copy() for _ in range(copies - 1)],
            )
            slow_host = build.library is not None or launch.launches > 1
            before = self.preparation(kernel, launch_once, cache, slow_host=slow_host)
            self.stream.synchronize()

        def capture_resets(launches: int) -> Callable[[], None]:
            return self.capture(kernel.in_turn(launches, launched=False))

        return EventClock(
            before_launch=before,
            launch=launch_once,
            event=self.event,
            elapsed=self.elapsed,
            reporting=lambda: self.reporting(build),
            capture=lambda launches: self.capture(kernel.in_turn(launches)),
            copies=copies,
            as_wanted=as_wanted,
            outputs=lambda: self.fetch(build, memory, memory.arguments, outputs),
            refill=kernel.refill,
            reload=kernel.reload,
            hold=lambda graph: self.hold.before(graph, kernel.restore),
            capture_resets=capture_resets if updated or scratch else None,
        )

    def preparation(
        self, kernel: TimedKernel, launch: Callable[[], None], cache: str, *, slow_host: bool
    ) -> Callable[[Callable[[], None]], None]:
        """What is enqueued before each launch of `kernel`.

        A spin holds the device before a warm launch, because no long sweep precedes it. It also does so with
        `slow_host`: for a chain of launches, and for a library whose call takes the host longer than a launch takes the
        device.
        """
        restoring = kernel.restore, kernel.memory.restore_scratch

        def restore() -> None:
            for step in restoring:
                step()

        cold = cache == COLD
        needs_hold = (
            slow_host or self.set_aside.bytes
        )  # a set-aside makes the host wait for the flush, so it must be given time
        hold = self.spin if cold and not needs_hold else self.hold.before(launch, restore)
        if cold:
            return Preparation(*restoring, self.empty_l2, hold).cold
        return Preparation(*restoring, self.reset_persisting_lines, hold).warm

    def buffers(self, arguments: Arguments, outputs: Names) -> DeviceBuffers:
        """The arrays on the device; all except `outputs` must stay unchanged."""
        return DeviceBuffers(self.cuda, self.stream, arguments, outputs, self.checksum)

    def fetch(self, build: Build, memory: DeviceBuffers, arguments: Arguments, outputs: Names) -> Mapping[str, Any]:
        """The content of `outputs` after launches. Raises WrongResult if they wrote anything else."""
        after_launch = memory.download()
        buffers.check_untouched(kernel_name(build), arguments, outputs, after_launch)
        return {name: after_launch[name].data for name in outputs}

    def floor(self, launch: Launch, arguments: Arguments) -> Clock | None:
        """The clock of an empty kernel with the same grid, block and size of parameters; not of a chain."""
        packed = launch.packed(buffers.pack(arguments, dict.fromkeys(buffers.names_of_arrays(arguments), 0)))
        with self.reporting(EMPTY):
            function = self.own_text(buffers.empty_kernel(packed), "empty")
            empty_launch = replace(launch, shared_bytes=0, chain=None)
            self.launcher.ready(function, empty_launch)
            launch_once = self.launcher.bound(function, empty_launch, [packed])
            sweep = self.sweep
        return EventClock(
            lambda launch: sweep(),
            launch_once,
            self.event,
            self.elapsed,
            lambda: self.reporting(EMPTY),
            lambda launches: self.capture(lambda: [launch_once() for _ in range(launches)]),
            hold=self.hold.before,
        )

    def watch(self) -> Watch | None:
        """NVML's watch of the device, if there is one."""
        with self.reporting("NVML"):
            bus_id = self.cuda.runtime.deviceGetPCIBusId(0)
        return NvmlWatch.of(bus_id)

    def capture(self, enqueue: Callable[[], object]) -> Callable[[], None]:
        """Capture what `enqueue` enqueues as a graph; return the function that enqueues the graph."""
        self.stream.begin_capture()
        try:
            enqueue()
        except BaseException:
            with suppress(*self.cuda_errors):  # the error to report is the one raised here
                self.stream.end_capture()  # else every later use of the stream would fail
            raise
        graph = self.stream.end_capture()
        graph.upload(self.stream)
        return lambda: graph.launch(self.stream)

    @cached_property
    def checksum(self) -> Checksum:
        """The function that sums arrays on the device."""
        return Checksum(self.cuda, self.stream, lambda: self.own_kernel("checksum"))

    @cached_property
    def cublas(self) -> Cublas:
        """cuBLAS on the stream. Raises LaunchUnavailable if it is not available."""
        return Cublas(find_cublas(), self.stream.ptr)

    @cached_property
    def hold(self) -> Hold:
        """Holds the device while the host enqueues."""
        return Hold(self)

    @cached_property
    def sm(self) -> str:
        """The architecture, such as sm_90."""
        properties = self.cuda.runtime.getDeviceProperties(0)
        return f"sm_{properties['major']}{properties['minor']}"

    @cached_property
    def l2_bytes(self) -> int:
        return int(self.cuda.runtime.getDeviceProperties(0)["l2CacheSize"])

    @property
    def free_bytes(self) -> int:
        """Free memory of the device and of CuPy's pool, so that earlier frees do not matter."""
        return int(self.cuda.runtime.memGetInfo()[0]) + int(self.pool.free_bytes())

    def release(self) -> None:
        """See base.Backend.

        The kernel that empties L2 checks that the device works: else the next kernel would be blamed for a device that
        an earlier one, or another process, left unusable.
        """
        self.shared_buffers = None
        gc.collect()  # buffers in a cycle of references would stay
        with self.reporting("the GPU"):
            self.sweep()
            self.stream.synchronize()
            self.pool.free_all_blocks()

    def require(self, build: Build, launch: Launch) -> None:
        """See base.Backend: checked by the device's attributes and the build's report; no kernel is loaded."""
        with self.reporting(build):
            if build.library:
                assert self.cublas  # loads it, or raises the reason why it cannot
            else:
                self.launcher.require(build, launch)

    @cached_property
    def launcher(self) -> Launcher:
        return Launcher(self.cuda, find_driver(), LaunchLimits.of(self.cuda.runtime), self.stream)

    def prepare(self, build: Build, launch: Launch, arguments: Arguments, memory: DeviceBuffers) -> Callable[[], None]:
        """Everything up to the launch, which the returned function enqueues."""
        function = self.function(build, launch)
        return self.bound(function, build.enqueued(launch), build.arguments(arguments), memory)

    def function(self, build: Build, launch: Launch, *, fresh: bool = False) -> Any:
        """The kernel, ready for its launch; `fresh`: from a module that is loaded again."""
        if build.library:
            return build.library
        self.marking |= marks_lines(build.ptx)
        function = self.load(build.cubin or build.ptx.encode(), build.entry, build.variant, fresh=fresh)
        self.launcher.ready(function, launch)
        self.set_aside.require(self.launcher.limits.set_aside_bytes * launch.set_aside // 100)
        return function

    def bound(self, function: Any, launch: Launch, arguments: Arguments, memory: DeviceBuffers) -> Callable[[], None]:
        """Returns the function that enqueues a launch of `function`, or a call of a library."""
        if isinstance(function, Gemm):
            return self.cublas.gemm(function, arguments, memory.addresses)
        packed = (buffers.pack(step, memory.addresses, self.launcher.encode) for step in launch.steps(arguments))
        steps = [launch.packed(values) for values in packed]
        return self.launcher.bound(function, launch, steps)

    def load(self, image: bytes, entry: str, module: str = "", *, fresh: bool = False) -> Any:
        """The kernel `entry` of a cubin or PTX text, loaded once per process and `module`; an image may be two modules.

        `fresh`: loaded again, for this caller only; unloaded with the last launch that holds it.
        """
        key = hashlib.sha256(b"\0".join((entry.encode(), module.encode(), image))).digest()
        if not fresh and key in self.kernels:
            return self.kernels[key]
        loaded = self.cuda.function.Module()
        loaded.load(image + b"\0")  # CuPy calls cuModuleLoadData; PTX text must end with a zero byte
        function = loaded.get_function(entry)
        if not fresh:
            self.kernels[key] = function
        return function

    @cached_property
    def sweep(self) -> Callable[[], None]:
        """Enqueues a read sweep that empties L2, and a spin if the sweep is short."""
        empty_l2, spin = self.empty_l2, self.spin

        def enqueue() -> None:
            empty_l2()
            spin()

        return enqueue

    @cached_property
    def empty_l2(self) -> Callable[[], None]:
        """Enqueues a read sweep that empties L2, persisting lines included."""
        read, forget = self.reader(buffers.sweep_sectors(self.l2_bytes, self.flush.times)), self.reset_persisting_lines

        def enqueue() -> None:
            with self.set_aside.lifted():
                forget()
                read()

        return enqueue

    @cached_property
    def set_aside(self) -> SetAside:
        """The part of L2 for persisting lines."""
        _ = self.supports_persisting  # finding it out sets the limit to 0, so it must come first
        return SetAside(find_driver(), self.stream.synchronize)

    @cached_property
    def supports_persisting(self) -> bool:
        """Whether the driver and the device support persisting lines; needs a context."""
        return forget_persisting(find_driver())

    @cached_property
    def reset_persisting_lines(self) -> Callable[[], None]:
        """Resets persisting lines of L2 if some kernel can have left any.

        The driver does it at once, not in the order of the stream, so the stream must be empty.
        """
        driver, supported = find_driver(), self.supports_persisting

        def forget() -> None:
            if supported and self.marking:
                self.stream.synchronize()
                self.cuda.driver.check_status(driver.cuCtxResetPersistingL2Cache())

        return forget

    @cached_property
    def spin(self) -> Callable[[], None]:
        """Enqueues the spin that holds the device after a flush; nothing if the flush takes long enough."""
        return self.spinner(self.flush.spin_ns) if self.flush.spin_ns else nothing

    def reader(self, sectors: int) -> Callable[[], None]:
        """Enqueues reading that many sectors of a buffer of zeros, which belongs to this reader."""
        if not sectors:
            return lambda: None
        zeros = self.cuda.alloc(sectors * buffers.SECTOR_BYTES)
        zeros.memset_async(0, sectors * buffers.SECTOR_BYTES, self.stream)
        function = self.own_kernel("l2_sweep")
        grid = (ceil_div(sectors, 256),)

        def enqueue() -> None:  # holds `zeros`, whose memory is freed with the object
            function(grid, (256,), (np.uint64(zeros.ptr), np.uint32(sectors)), 0, self.stream)

        return enqueue

    def spinner(self, nanoseconds: int) -> Callable[[], None]:
        """Enqueues a kernel that keeps the stream busy for that many nanoseconds."""
        function = self.own_kernel("spin")
        return lambda: function((1,), (1,), (np.uint64(nanoseconds),), 0, self.stream)

    def own_kernel(self, name: str) -> Any:
        """One of the kernels next to this module."""
        return self.own_text(Path(__file__).with_name(f"{name}.ptx").read_text(encoding="ascii"), name)

    def own_text(self, ptx: str, entry: str) -> Any:
        """A kernel of the backend itself, assembled by ptxas if possible, to avoid the driver's JIT compiler."""
        return self.load(assembled_text(ptx, self.sm) or ptx.encode(), entry)

    def event(self) -> Callable[[], Any]:
        """A new event, as the function that records it on the stream and returns it."""
        event = self.cuda.Event()

        def record() -> Any:
            event.record(self.stream)
            return event

        return record

    def elapsed(self, start: Any, stop: Any) -> int:
        """Wait for `stop`; nanoseconds between the two events."""
        stop.synchronize()
        return buffers.nanoseconds(self.cuda.get_elapsed_time(start, stop))

    @contextmanager
    def reporting(self, build: Build | str) -> Iterator[None]:
        """Turn what CuPy raises into an error that names the kernel and says what to do.

        A DeviceError is the kernel's fault, a MachineError that of the device, its driver or another process.
        ptxbench's own kernels, and others that are named without a build, are right: so their failures are always the
        machine's.
        """
        of_ptxbench = isinstance(build, str)
        kernel = build if isinstance(build, str) else kernel_name(build)
        if self.lost is not None:
            raise MachineError(f"{kernel}: this process can no longer use the GPU: {self.lost}")
        try:
            yield
        except self.cuda_errors as error:
            raise self.failed(kernel, error.status, str(error), of_ptxbench=of_ptxbench) from error
        except self.cuda.memory.OutOfMemoryError as error:
            raise self.failed(kernel, OUT_OF_MEMORY, str(error), of_ptxbench=of_ptxbench) from error

    @property
    def cuda_errors(self) -> Any:
        """What CuPy raises for an error of the driver or the runtime."""
        return self.cuda.driver.CUDADriverError, self.cuda.runtime.CUDARuntimeError

    def failed(self, kernel: str, status: int, text: str, *, of_ptxbench: bool) -> DeviceError | MachineError:
        """The error for a driver error; it is remembered if the process can no longer use the GPU."""
        error = failure(kernel, status, text, of_ptxbench=of_ptxbench)
        if is_lost(status) or not self.answers():
            self.lost = str(error)
            silence(self.cuda_errors)
        return error

    def answers(self) -> bool:
        """Whether the context still works, tested once after every error.

        Not every error shows it, and a running kernel may have failed too. Waits for the stream, because copies of
        arrays that the error frees may still be running.
        """
        try:
            self.stream.synchronize()
            self.cuda.runtime.memGetInfo()
        except self.cuda_errors:
            return False
        return True


def kernel_name(build: Build) -> str:
    """The kernel in a message: its file, and its variant if the file name does not contain it."""
    return f"{build.source.name} ({build.variant})" if "@" in build.variant else build.source.name
