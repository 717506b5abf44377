"""A scripted GPU for sm_partition: the emulator computes, a formula gives times and clocks. Workers can use it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ptxbench.backends.base import LaunchOutcome
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.pair import Launch
from ptxbench.run_info import Device
from ptxbench.toolchain import Build
from tests.fakes import DEVICE, ScriptedClock, ScriptedWatch

SMS = 8
COPY_NS, COMPUTE_NS = 1_600_000, 2_400_000
"""The time of all the work on one SM."""

BESIDE = 1.1
"""The slowdown of computing during a copy."""


def role_ns(copiers: int, roles: int) -> tuple[int, int]:
    """Nanoseconds of each role, 0 for a role without SMs."""
    copy = COPY_NS // copiers if roles & 1 else 0
    compute = COMPUTE_NS // (SMS - copiers) if roles & 2 else 0
    return copy, round(BESIDE * compute) if roles == 3 else compute


@dataclass(frozen=True)
class PartitionBackend:
    """`ptx_share`: the time of `ptx` over that of `cuda`."""

    ptx_share: float = 0.8
    name = "gpu"
    isolated = True

    def unavailable(self) -> str | None:
        return None

    def device(self) -> Device:
        return replace(DEVICE, sms=SMS)

    def require(self, build: Build, launch: Launch) -> None:
        return None

    def run(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]
    ) -> LaunchOutcome:
        left = dict(EmulatorBackend("sm_90").run(build, launch, arguments, outputs).outputs)
        if "clocks" in left:  # the control has none
            clocks = np.zeros_like(left["clocks"])
            for role, ns in enumerate(role_ns(int(arguments["copiers"]), int(arguments["roles"])), 1):
                clocks[left["taken"] == role] = 1000, 1000 + 2 * ns  # two ticks a nanosecond
            left["clocks"] = clocks
        return LaunchOutcome(left)

    def again(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]
    ) -> Iterator[LaunchOutcome]:
        yield self.run(build, launch, arguments, outputs)

    def clock(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...], **how: Any
    ) -> ScriptedClock:
        ns = 1_000_000
        if build.entry == "sm_partition":
            ns = max(role_ns(int(arguments["copiers"]), int(arguments["roles"])))
            ns = round(ns * (self.ptx_share if build.language == "ptx" else 1))
        return ScriptedClock([ns], build.variant, left=lambda: self.run(build, launch, arguments, outputs).outputs)

    @property
    def lost(self) -> str | None:
        return None

    def floor(self, launch: Launch, arguments: Mapping[str, Any]) -> ScriptedClock | None:
        return None

    def release(self) -> None:
        pass

    def watch(self) -> ScriptedWatch | None:
        return None
