"""The one fake: a backend whose clock reads a script, so that measuring and reporting are tested exactly."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import cycle
from typing import Any

from ptxbench.backends.base import Outcome
from ptxbench.emulator import accuracy
from ptxbench.pair import Launch
from ptxbench.toolchain import Build

DEVICE = {
    "kind": "gpu",
    "name": "Scripted GPU",
    "uuid_hash": None,
    "sm": "sm_90",
    "sms": None,
    "memory_bytes": None,
    "l2_bytes": None,
    "ecc": None,
    "mig": None,
    "power_limit_w": None,
    "driver": None,
}


class ScriptedClock:
    """Reads the given nanoseconds one after the other, for ever. `log` collects what happened in order."""

    def __init__(self, ns: Iterable[int], name: str = "", log: list[str] | None = None) -> None:
        self.ns: Iterator[int] = cycle(ns)
        self.name = name
        self.log: list[str] = log if log is not None else []

    def enqueue(self) -> Callable[[], int]:
        self.log.append(f"enqueue {self.name}")

        def wait() -> int:
            self.log.append(f"wait {self.name}")
            return next(self.ns)

        return wait


Compute = Callable[[Build, Launch, Mapping[str, Any], tuple[str, ...]], Mapping[str, Any]]


class FakeBackend:
    """A GPU by its looks: `times` scripts each variant's clock, `compute` says what a launch writes."""

    name = "gpu"

    def __init__(self, times: Mapping[str, Iterable[int]], compute: Compute, reason: str | None = None) -> None:
        self.times = times
        self.compute = compute
        self.reason = reason

    def unavailable(self) -> str | None:
        return self.reason

    def device(self) -> Mapping[str, Any]:
        return DEVICE

    def run(self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]) -> Outcome:
        left = self.compute(build, launch, arguments, outputs)
        return Outcome(left, approximate=accuracy.opcodes(build.ptx))

    def clock(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]
    ) -> ScriptedClock | None:
        times = self.times.get(build.variant)
        return None if times is None else ScriptedClock(times, build.variant)
