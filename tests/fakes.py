"""The one fake: a backend with a scripted clock, so that measuring and reporting are tested exactly."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any

from ptxbench.backends.base import BlockState, LaunchOutcome
from ptxbench.emulator import accuracy
from ptxbench.errors import DeviceError, MachineError
from ptxbench.pair import Launch
from ptxbench.run_info import Device
from ptxbench.toolchain import Build

DEVICE = Device("gpu", "Scripted GPU", "sm_90")


class ScriptedClock:
    """Returns the given nanoseconds one after the other, in an endless cycle. `log` collects the events in order.

    With `graphs`, a graph of n launches takes n times the next, and `overhead_ns` once.
    """

    def __init__(
        self,
        ns: Iterable[int],
        name: str = "",
        log: list[str] | None = None,
        *,
        graphs: bool = False,
        overhead_ns: int = 0,
        left: Callable[[], Mapping[str, Any]] = dict,
        on_arguments: Callable[[Mapping[str, Any]], None] = lambda arguments: None,
        loaded: Callable[[], None] = lambda: None,
    ) -> None:
        self.ns: Iterator[int] = cycle(ns)
        self.name = name
        self.log: list[str] = log if log is not None else []
        self.graphs = graphs
        self.copies = 1
        self.as_wanted = True
        self.overhead_ns = overhead_ns
        self.left = left
        self.on_arguments = on_arguments
        self.loaded = loaded

    def enqueue(self) -> Callable[[], int]:
        self.log.append(f"enqueue {self.name}")

        def wait() -> int:
            self.log.append(f"wait {self.name}")
            return next(self.ns)

        return wait

    def enqueue_graph(self, launches: int) -> Callable[[], int]:
        self.log.append(f"enqueue {launches} {self.name}")
        return lambda: self.overhead_ns + launches * next(self.ns)

    def refill(self, arguments: Mapping[str, Any]) -> None:
        self.log.append(f"refill {self.name}")
        self.on_arguments(arguments)

    def reload(self, samples: int) -> None:
        self.log.append(f"reload {self.name}")
        self.loaded()

    def outputs(self) -> Mapping[str, Any]:
        self.log.append(f"outputs {self.name}")
        return self.left()


class ScriptedWatch:
    """Returns the given states one after the other, in an endless cycle."""

    def __init__(self, states: Iterable[BlockState]) -> None:
        self.states = cycle(states)

    def state(self) -> BlockState:
        return next(self.states)


class ScriptedHost:
    """A clock that advances by `tick` seconds at each reading, and by the time of each sleep."""

    def __init__(self, tick: float = 0.01) -> None:
        self.tick = tick
        self.seconds = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        self.seconds += self.tick
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


Compute = Callable[[Build, Launch, Mapping[str, Any], tuple[str, ...]], Mapping[str, Any]]


class FakeBackend:
    """A fake GPU: `times` scripts each variant's clock, `compute` returns the outputs of a launch.

    `timed` says what a sample writes, and `repeats` what further launches on the same data do, if that differs.
    """

    name = "gpu"
    isolated = False
    lost: str | None = None

    def __init__(
        self,
        times: Mapping[str, Iterable[int]],
        compute: Compute,
        reason: str | None = None,
        *,
        timed: Compute | None = None,
        repeats: Sequence[Compute] = (),
    ) -> None:
        self.times = times
        self.compute = compute
        self.reason = reason
        self.timed = timed or compute
        self.repeats = repeats or (compute,)

    def unavailable(self) -> str | None:
        return self.reason

    def device(self) -> Device:
        return DEVICE

    def require(self, build: Build, launch: Launch) -> None:
        return None

    def run(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]
    ) -> LaunchOutcome:
        left = self.compute(build, launch, arguments, outputs)
        return LaunchOutcome(left, approximate=accuracy.opcodes(build.ptx))

    def again(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]
    ) -> Iterator[LaunchOutcome]:
        for compute in self.repeats:
            yield LaunchOutcome(compute(build, launch, arguments, outputs), approximate=accuracy.opcodes(build.ptx))

    def clock(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...], **how: Any
    ) -> ScriptedClock | None:
        self.asked = how
        times = self.times.get(build.variant)
        if times is None:
            return None
        current = {"arguments": arguments}
        return ScriptedClock(
            times,
            build.variant,
            left=lambda: self.timed(build, launch, current["arguments"], outputs),
            on_arguments=lambda other: current.update(arguments=other),
        )

    def floor(self, launch: Launch, arguments: Mapping[str, Any]) -> ScriptedClock | None:
        return None

    def release(self) -> None:
        pass

    def watch(self) -> ScriptedWatch | None:
        return None


FAULTS: list[str] = []
"""For this process: one entry after a kernel did a "fault", and one more after it was reported."""


def culprit(build: Build) -> str:
    """The key of `deeds` for a build."""
    return "control" if build.entry == "control" else build.variant


@dataclass(frozen=True)
class HostileBackend:
    """A GPU whose kernels do harm, in whatever process they run: `deeds` by variant, "PHASE DEED".

    Phases are verify and measure. Deeds are crash, exit, hang, lose (the driver reports an illegal access), memory
    (the driver is out of memory), kill (the system is out of memory), bug, and for measure "fault": an illegal access
    that the next call reports and that loses the device. A variant whose whole deed is "wrong" is harmless, but its
    result is wrong. The variant "device" may be "gone"; "control" is both variants of the control. Can be sent to
    another process.
    """

    deeds: Mapping[str, str]
    ns: Mapping[str, int]
    name = "gpu"
    isolated = True

    def unavailable(self) -> str | None:
        return None

    def device(self) -> Device:
        if self.deeds.get("device") == "gone":
            raise DeviceError("cudaErrorDevicesUnavailable: all CUDA-capable devices are busy")
        return DEVICE

    def require(self, build: Build, launch: Launch) -> None:
        return None

    def run(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]
    ) -> LaunchOutcome:
        self.do(culprit(build), "verify")
        return LaunchOutcome(self.left(build, arguments))

    def again(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]
    ) -> Iterator[LaunchOutcome]:
        yield self.run(build, launch, arguments, outputs)

    def left(self, build: Build, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The output of a harmless kernel, or of one whose deed is "wrong"."""
        if self.deeds.get(culprit(build)) == "wrong":
            return {"y": arguments["x"] + arguments["a"]}
        return {"y": arguments["x"].copy() if build.entry == "control" else arguments["x"] * arguments["a"]}

    def clock(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...], **how: Any
    ) -> ScriptedClock:
        clock = ScriptedClock(
            [self.ns[build.variant] if build.entry != "control" else 100_000],
            build.variant,
            left=lambda: self.left(build, arguments),
        )
        enqueue, launches = clock.enqueue, count(1)
        guilty = self.deeds.get(culprit(build)) == "measure fault"

        def reported() -> None:
            if FAULTS:
                FAULTS.append(f"{build.variant}: CUDA_ERROR_ILLEGAL_ADDRESS.")
                raise DeviceError(FAULTS[-1])

        def hostile() -> Callable[[], int]:
            reported()
            self.do(culprit(build), "measure")
            if guilty and next(launches) == 10:  # the first are taken alone
                FAULTS.append("")
            wait = enqueue()

            def waited() -> int:
                reported()
                return wait()

            return waited

        clock.enqueue = hostile
        return clock

    def do(self, variant: str, phase: str) -> None:
        deed = self.deeds.get(variant, "").removeprefix(f"{phase} ")
        if deed == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif deed == "exit":
            os._exit(3)
        elif deed == "hang":
            time.sleep(3600)
        elif deed == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif deed == "bug":
            raise TypeError("nobody expects this")
        elif deed == "memory":
            raise MachineError(f"{variant}: out of memory. Choose a smaller --size.")
        elif deed == "lose":
            raise DeviceError(f"{variant}: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered.")

    @property
    def lost(self) -> str | None:
        return FAULTS[-1] if len(FAULTS) > 1 else None

    def floor(self, launch: Launch, arguments: Mapping[str, Any]) -> ScriptedClock | None:
        return None

    def release(self) -> None:
        pass

    def watch(self) -> ScriptedWatch | None:
        return None
