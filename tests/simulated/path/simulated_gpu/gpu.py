"""The device as a process sees it: virtual time, streams that run late, events, graphs, errors that stay."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import random
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simulated_gpu import description, kernels
from simulated_gpu.description import Device, Fault
from simulated_gpu.errors import STICKY, Failure
from simulated_gpu.kernels import Launches, Prepared
from simulated_gpu.memory import Memory

ISSUED = 2.0
"""Warp instructions that an SM executes in a cycle, on average."""

READING_NS, NODE_NS = 30, 100
"""The time of one reading of %globaltimer on the device, and of one graph node on the host."""


@dataclass
class L2:
    """Which blocks lie in the cache, the least recently used first: bytes of each, and how many are dirty."""

    size: int
    held: OrderedDict[int, tuple[int, int]] = field(default_factory=OrderedDict)
    used: int = 0
    """The bytes of all that is held."""

    def touch(self, address: int, size: int, *, writes: bool) -> tuple[int, int, int]:
        """Bytes that come from memory, that were here, and that are written back to make room."""
        held, dirty = self.held.pop(address, (0, 0))
        warm = min(held, size) if size <= self.size else 0
        staying = min(max(size, held), self.size)
        self.held[address] = staying, staying if writes else min(dirty, staying)
        self.used += staying - held
        back = 0
        while self.used > self.size:
            _, (evicted, lost) = self.held.popitem(last=False)
            self.used -= evicted
            back += lost
        return size - warm, warm, back


@dataclass(eq=False)
class Operation:
    """`perform`: runs it from a start time and returns its nanoseconds. `enqueued`: when the host enqueued it."""

    perform: Callable[[float], float]
    enqueued: float = 0.0


@dataclass(eq=False)
class Stream:
    """`capture`: the captured operations, if it captures; `spoilt`: whether the capture is invalid."""

    handle: int
    queue: deque[Operation] = field(default_factory=deque)
    capture: list[Operation] | None = None
    spoilt: bool = False


@dataclass(eq=False)
class Event:
    handle: int
    stream: Stream | None = None
    operation: Operation | None = None
    time: float | None = None


class Shared:
    """The state of the device that all processes share, in a file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "shared.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.path.touch()

    @contextmanager
    def open(self) -> Iterator[dict[str, Any]]:
        """The state, to be read and changed by one process at a time."""
        with self.path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            state = json.loads(file.read() or "{}")
            yield state
            file.seek(0)
            file.write(json.dumps(state))
            file.truncate()  # not before: ext4 waits for the disk when a file is closed that was empty


class Gpu:
    """The device in this process. Every method that replaces a CUDA call passes its name to `call`."""

    def __init__(self) -> None:
        self.script = description.read()
        self.device: Device = self.script.device
        self.shared = Shared(Path(self.script.folder))
        self.memory = Memory(self.device.memory_bytes)
        self.launches = Launches(self.script)
        self.l2 = L2(self.device.l2_bytes)
        self.host, self.free, self.busy = 0.0, 0.0, 0.0
        """The host's time; the end of the device's performed work; its total working time."""
        self.lost: int | None = None
        self.context = False
        self.numbers = itertools.count(1)
        self.random = random.Random(0)
        self.streams: dict[int, Stream] = {}
        self.functions: dict[int, kernels.Kernel] = {}
        self.counts: Counter[str] = Counter()
        kernels.remember_cubins(Path(self.script.folder))
        if self.script.control_n:
            from ptxbench.runner import control

            control.PAIR.bench_sizes[:] = [{"n": self.script.control_n}]
        if not self.script.clocks:
            start_warm()

    # ---- calls, contexts and faults

    def call(self, name: str, *, context: bool = True) -> None:
        """The first step of every CUDA call. Raises Failure."""
        self.host += self.script.host_ns.get(name, self.script.host_ns["*"])
        self.meet([fault for fault in self.script.faults if fault.call in (name, "*")])
        if self.lost is not None:
            raise Failure(self.lost)
        if context and not self.context:
            self.make_context()

    def meet(self, faults: Sequence[Fault]) -> None:
        """Count a call or a run once for all these faults, and trigger the fault that is due."""
        counted = {}
        for what, of_run in {(fault.call or f"kernel {fault.kernel}", fault.of_run) for fault in faults}:
            if of_run:
                with self.shared.open() as state:
                    counted[what, of_run] = state[what] = state.get(what, 0) + 1
            else:
                self.counts[what] += 1
                counted[what, of_run] = self.counts[what]
        for fault in faults:
            if fault.strikes(counted[fault.call or f"kernel {fault.kernel}", fault.of_run]):
                self.strike(fault)

    def strike(self, fault: Fault) -> None:
        if fault.does == "hang":
            self.hang()
        if fault.does == "exit":
            os._exit(3)
        if fault.does == "gone":
            with self.shared.open() as state:
                state["gone"] = fault.status
        if fault.does == "gone" or (fault.status in STICKY if fault.sticky is None else fault.sticky):
            self.lost = fault.status
        raise Failure(fault.status)

    def hang(self) -> None:
        """Never come back, unless a watchdog ends it."""
        if self.script.watchdog_seconds:
            raise Failure(702)
        while True:
            time.sleep(3600)

    def make_context(self) -> None:
        with self.shared.open() as state:
            if "gone" in state:
                raise Failure(state["gone"])
            alive = [pid for pid in state.get("contexts", []) if Path(f"/proc/{pid}").exists()]
            if self.script.exclusive and set(alive) - {os.getpid()}:
                raise Failure(46)
            state["contexts"] = [*alive, os.getpid()]
            state["processes"] = state.get("processes", 0) + 1
            self.random = random.Random(state["processes"])
        self.context = True

    # ---- streams

    def stream(self, handle: int) -> Stream:
        if handle not in self.streams:
            raise Failure(400)
        return self.streams[handle]

    def make_stream(self) -> Stream:
        stream = Stream(next(self.numbers))
        self.streams[stream.handle] = stream
        return stream

    def enqueue(self, stream: Stream, perform: Callable[[float], float]) -> Operation:
        """Perform it as late as the host can notice, or with the captured graph."""
        operation = Operation(perform, self.host)
        if stream.spoilt:
            raise Failure(901)
        (stream.queue if stream.capture is None else stream.capture).append(operation)
        return operation

    def drain(self, stream: Stream, last: Operation | None = None) -> None:
        """Wait until the stream has performed everything, or up to `last`. Raises Failure for an error there."""
        if stream.capture is not None:
            stream.spoilt = True
            raise Failure(900)
        while stream.queue:
            operation = stream.queue.popleft()
            start = max(self.free, operation.enqueued)
            try:
                took = operation.perform(start)
            except Failure as failure:
                self.lost = failure.status
                raise
            self.free = start + took
            self.busy += took
            if operation is last:
                break
        self.host = max(self.host, self.free)

    def drain_all(self) -> None:
        for stream in list(self.streams.values()):
            if stream.capture is None:
                self.drain(stream)

    def begin_capture(self, stream: Stream) -> None:
        if stream.capture is not None:
            raise Failure(401)
        stream.capture = []

    def end_capture(self, stream: Stream) -> list[Operation]:
        """The captured operations. Raises Failure where the capture was spoilt; either way it has ended."""
        (captured, stream.capture), (spoilt, stream.spoilt) = (stream.capture, None), (stream.spoilt, False)
        if captured is None or spoilt:
            raise Failure(901 if spoilt else 401)
        return captured

    def enqueue_graph(self, stream: Stream, nodes: Sequence[Operation]) -> None:
        def perform(start: float) -> float:
            now = start
            for node in nodes:
                now += node.perform(now)
            return now - start

        self.enqueue(stream, perform)

    # ---- events

    def record(self, event: Event, stream: Stream) -> None:
        def perform(start: float) -> float:
            event.time = start // self.device.event_ns * self.device.event_ns
            return 0.0

        event.time, event.stream = None, stream
        event.operation = self.enqueue(stream, perform)

    def wait(self, event: Event) -> None:
        if event.stream is not None and event.time is None:
            self.drain(event.stream, event.operation)

    def elapsed_ms(self, start: Event, stop: Event) -> float:
        if start.operation is None or stop.operation is None:
            raise Failure(400)
        if start.time is None or stop.time is None:
            raise Failure(600)
        return (stop.time - start.time) / 1e6

    # ---- what operations do and take

    @property
    def clock(self) -> tuple[float, int]:
        """MHz and NVML's reasons, now."""
        if not self.busy and not self.script.clocks:
            return self.device.idle_mhz, 1
        state: tuple[float, int] = (self.device.clock_mhz, 0)
        for seconds, mhz, reasons in self.script.clocks:
            if self.busy >= 1e9 * seconds:
                state = mhz, reasons
        return state

    def moving(self, address: int, size: int, *, writes: bool) -> float:
        """Nanoseconds that the device needs to move that many bytes of the block at an address."""
        cold, warm, back = self.l2.touch(address, size, writes=writes)
        return 1e9 * ((cold + back) / self.device.memory_rate + warm / self.device.l2_rate)

    def fill(self, address: int, value: int, size: int) -> Callable[[float], float]:
        def perform(start: float) -> float:
            self.memory.fill(address, value, size)
            return 1000 + self.moving(self.memory.start(address), size, writes=True)

        self.memory.find(address, max(size, 1))
        return perform

    def copy(self, to: int, source: int, size: int, kind: int) -> Callable[[float], float]:
        """`kind`: 1 to the device, 2 from it, 3 within it."""

        def perform(start: float) -> float:
            if kind == 1:
                self.memory.upload(to, source, size)
            elif kind == 2:
                self.memory.download(to, source, size)
            else:
                self.memory.copy(to, source, size)
                starts = self.memory.start(source), self.memory.start(to)
                return 1000 + sum(self.moving(start, size, writes=start == starts[1]) for start in starts)
            return 1500 + size / 25  # PCIe: 25 GB/s

        for address in [to] if kind == 1 else [source] if kind == 2 else [to, source]:
            if size:
                self.memory.find(address, size)
        return perform if size else lambda start: 0.0

    def start(
        self, function: int, grid: Any, block: Any, shared: int, stream: int, content: list[bytes], cluster: Any = None
    ) -> None:
        """Check a launch and put it on its stream. Raises Failure."""
        kernel = self.functions[function]
        kernel.check(self.device, grid, block, shared)
        prepared = kernels.prepare(self.memory, kernel, grid, block, shared, content, cluster)
        self.enqueue(self.stream(stream), self.launch(prepared))

    def launch(self, launch: Prepared) -> Callable[[float], float]:
        """A kernel's run. Its work is the larger of the data time and the instruction time."""

        def perform(start: float) -> float:
            kernel = launch.kernel
            self.meet([fault for fault in self.script.faults if fault.kernel == kernel.name])
            if (timed := BY_THE_TIMER.get(kernel.name)) and "%globaltimer" in kernel.module.ptx:
                return timed(self, launch, start)
            outcome = self.launches.outcome(self.memory, launch)
            if outcome.printed:
                print(outcome.printed, end="", flush=True)
            if outcome.hangs:
                self.hang()
            if outcome.status:
                raise Failure(outcome.status)
            for index, at, content in outcome.changes:
                region, base = launch.places[index]
                region.write(base + at, content.size, content)
            if outcome.kept is not None:
                kernel.module.kept = dict(outcome.kept)
            return self.kernel_ns(launch, outcome)

        return perform

    def kernel_ns(self, launch: Prepared, outcome: kernels.Outcome) -> float:
        share = min(1.0, 32 * outcome.sectors / launch.reach) if launch.reach else 0.0
        moving = sum(
            self.moving(block.address, round(share * block.size), writes=index in outcome.written)
            for index, block in enumerate(launch.blocks)
        )
        mhz, _ = self.clock if self.busy else (self.device.clock_mhz, 0)
        executing = 1e3 * outcome.instructions / (self.device.sms * ISSUED * mhz)
        slower = self.device.clock_mhz / mhz
        took = self.device.kernel_ns * slower + max(moving, executing)
        return took * (1 + self.random.uniform(-self.device.noise, self.device.noise))


def start_warm() -> None:
    """A warm-up ends when the times have settled: the device has its clock at once, and half a second of real time in
    each worker would only be spent on simulated launches."""
    from ptxbench.measure import experiment

    real_warm_up = experiment.warm_up

    def warm_up(contrasts: Any, settings: Any, host: Any) -> bool:
        return real_warm_up(contrasts, replace(settings, warm_up_seconds=0), host)

    experiment.warm_up = warm_up


def spin(gpu: Gpu, launch: Prepared, start: float) -> float:
    """The time until that many nanoseconds have passed on the timer, which advances in steps."""
    step = gpu.device.timer_ns
    end = (start // step * step + int(launch.params[0].value) + step - 1) // step * step
    return gpu.device.kernel_ns + max(end - start, 0.0)


def timer_steps(gpu: Gpu, launch: Prepared, start: float) -> float:
    """Writes readings of the timer one after the other."""
    [(_, index, offset)], count, step = launch.params[0].addresses, launch.params[1].value, gpu.device.timer_ns
    readings = [int((1e15 + start + READING_NS * i) // step * step) for i in range(int(count))]
    content = b"".join(reading.to_bytes(8, "little") for reading in readings)
    gpu.memory.put(launch.blocks[index].address + offset, content)
    return gpu.device.kernel_ns + READING_NS * float(count)


BY_THE_TIMER = {"spin": spin, "timer_steps": timer_steps}
"""Kernels of ptxbench that do nothing but read the device's timer. The emulator's does not fit the virtual time, so
that they are modelled by hand."""


GPU: list[Gpu] = []


def gpu() -> Gpu:
    """The device of this process."""
    if not GPU:
        GPU.append(Gpu())
    return GPU[0]
