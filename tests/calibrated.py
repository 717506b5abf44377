"""A fake GPU that can be calibrated: a backend with working calibration kernels, and a scripted probe."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ptxbench.backends.base import BlockState, LaunchOutcome
from ptxbench.calibration.suite import CalibrationSuite
from ptxbench.errors import DeviceError
from ptxbench.measure import SamplingSettings
from ptxbench.pair import Launch
from ptxbench.result import BROKEN, VERIFIED, Cell, LaunchReport, Round, VariantResult
from ptxbench.run_info import Device
from ptxbench.runner.events import CellDone, Event, ResultsSoFar, Step
from ptxbench.runner.plan import RunPlan
from ptxbench.toolchain import Build
from tests.fakes import ScriptedClock, ScriptedHost, ScriptedWatch
from tests.runs import GPU

CURVE = {0: 10_000, 0.5: 12_000, 1: 18_000, 2: 20_000, 3: 20_000, 4: 20_000}


@dataclass(frozen=True)
class Probe:
    """Every reading as scripted."""

    read: Mapping[float, int] = field(default_factory=lambda: CURVE)
    write: Mapping[float, int] = field(default_factory=lambda: CURVE)
    host: int = 9_000
    flush: int = 33_000
    step: int = 32
    one_process: bool = False

    def exclusive(self) -> bool:
        return self.one_process

    def read_after(self, how: str, times: float) -> int:
        return (self.read if how == "read" else self.write)[times]

    def flush_ns(self, times: float, spin_ns: int) -> int:
        return self.flush + spin_ns

    def host_ns(self) -> int:
        return self.host

    def event_pair_ns(self) -> int:
        return 512

    def timer_readings(self) -> Sequence[int]:
        return [self.step * (i // 3) for i in range(1000)]


@dataclass(frozen=True)
class ScriptedGpu:
    """Can be sent to another process. `deeds`: the fault of the PTX of a pair, "lose" or "hang".

    `ns`: the time of a launch, by entry or by assembler. `refuses`: an assembler that it does not take.
    """

    described: Device = field(default_factory=lambda: GPU)
    ns: Mapping[str, int] = field(default_factory=lambda: {"control": 100_000, "fma_chain": 150_000})
    deeds: Mapping[str, str] = field(default_factory=lambda: {"illegal_address": "lose", "endless": "hang"})
    refuses: str = ""
    copies_wrongly: bool = False
    clocks_mhz: tuple[float, ...] = (1755.0,)
    name = "gpu"
    isolated = True
    lost = None

    def unavailable(self) -> str | None:
        return None

    def device(self) -> Device:
        return self.described

    def require(self, build: Build, launch: Launch) -> None:
        return None

    def run(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...]
    ) -> LaunchOutcome:
        if build.variant == self.refuses:
            raise DeviceError("control.ptx: CUDA_ERROR_JIT_COMPILER_NOT_FOUND.")
        deed = self.deeds.get(build.entry) if build.variant == "ptx" else None
        if deed == "lose":
            raise DeviceError(f"{build.entry}.ptx: cudaErrorIllegalAddress.")
        if deed == "hang":
            time.sleep(3600)
        return LaunchOutcome(self.left(build, arguments))

    def again(self, *arguments: Any) -> Sequence[LaunchOutcome]:
        return []

    def left(self, build: Build, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if build.entry != "control":
            return {"y": np.arange(len(arguments["y"]), dtype=arguments["y"].dtype)}
        return {"y": arguments["x"] + 1 if self.copies_wrongly else arguments["x"].copy()}

    def clock(
        self, build: Build, launch: Launch, arguments: Mapping[str, Any], outputs: tuple[str, ...], **how: Any
    ) -> ScriptedClock:
        ns = self.ns.get(build.variant, self.ns.get(build.entry, 100_000))
        return ScriptedClock(
            [ns], build.variant, graphs=True, overhead_ns=10_000, left=lambda: self.left(build, arguments)
        )

    def floor(self, launch: Launch, arguments: Mapping[str, Any]) -> None:
        return None

    def release(self) -> None:
        pass

    def watch(self) -> ScriptedWatch:
        return ScriptedWatch([BlockState(mhz) for mhz in self.clocks_mhz])


SMALL = replace(GPU, name="Scripted GPU", l2_bytes=1 << 16)
"""A device with a small copy (no gigabytes on this machine) and without published rates."""

QUICK = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=1, stretch=1, looks=(8,), solo=2)


def cell(pair: str, control: bool = False, **statuses: str) -> Cell:
    variants = {name: VariantResult("ptx", status, f"why {name}") for name, status in statuses.items()}
    rounds = [Round(i, i, ("cuda", "ptx"), "A", [[100_000] * 4] * 8) for i in range(5)] if control else []
    return Cell(
        pair, {"n": 1}, "sm_90", LaunchReport((1, 1, 1), (1, 1, 1)), {}, variants, control=control, rounds=rounds
    )


CONTROL = cell("A/A control", control=True, cuda=VERIFIED, ptx=VERIFIED)
HARMFUL = [cell(pair, cuda=VERIFIED, ptx=BROKEN) for pair in ("endless", "illegal_address")]


def rounds(plan: RunPlan) -> Iterator[Event]:
    """The messages that workers would send."""
    for _ in range(plan.rounds):
        yield Step(0, 1, "A/A control", "ptx", "measure", {"n": 1})
        yield ResultsSoFar(())
    for pair_plan in (CONTROL, *(HARMFUL if plan.pair_plans else ())):
        yield CellDone(pair_plan, last=True)


def new_suite(**changes: Any) -> CalibrationSuite:
    """A checklist that passes completely, except for the `changes`."""
    usual = {
        "backend": ScriptedGpu(SMALL), "probe": Probe(), "host": ScriptedHost(), "rounds": rounds, "settings": QUICK,
    }  # fmt: skip
    return CalibrationSuite(**usual | changes)
