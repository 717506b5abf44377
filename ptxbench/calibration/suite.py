"""The checklist of a calibration: takes the readings for one line after the other, and has each judged.

Prints nothing. assessment.py judges the numbers; Probe reads what only the device can tell.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np

from ptxbench import environment, roofline, stats, toolchain
from ptxbench.arrays import poison
from ptxbench.backends import flush
from ptxbench.backends.base import Backend, Clock
from ptxbench.backends.flush import Flush
from ptxbench.calibration import assessment as judge
from ptxbench.calibration.assessment import FAIL, PASS, WARN, Calibration, CheckResult, ClockTick, calibration
from ptxbench.calibration.probe import FlushKind, Probe
from ptxbench.calibration.record import CalibrationRecord, flushing
from ptxbench.errors import DeviceError, MachineError, PtxbenchError
from ptxbench.measure import Host, SamplingSettings, measure, take_block
from ptxbench.measure.experiment import HOST
from ptxbench.pair import Launch, ceil_div, f32
from ptxbench.result import BROKEN, VERIFIED, WRONG, Cell
from ptxbench.run_info import Device
from ptxbench.runner.control import COPY, PAIR, PATH
from ptxbench.runner.document import now
from ptxbench.runner.events import CellDone, DeviceLost, Event, ResultsSoFar, Step
from ptxbench.runner.plan import RunPlan, plan_pairs
from ptxbench.runner.rounds import run_rounds
from ptxbench.toolchain import Build

HOSTILE = Path(__file__).with_name("hostile")
"""A folder of pairs whose PTX is harmful."""

READINGS, TRIES, PAIRS = 50, 50, 1000
"""Readings of each flush, of the host's time, and of empty pairs of events."""

WORKERS = 5
"""Rounds of the control, each in its own process."""

PATIENCE = 20.0
"""Seconds after which the worker of the endless kernel is killed."""

TINY, LAUNCHES = 1 << 14, 64
"""Elements of a copy that takes some microseconds, and its launches in a short graph."""

ROUNDS = 4096
"""Rounds of the arithmetic kernel: some hundred microseconds."""

LEAST_COPY, MOST_OF_MEMORY = 1 << 30, 1 / 8
"""Bytes of each array of the copy: at least this many and four times L2, and at most this share of any memory."""

IDLE_SECONDS = 3.0
"""How long the device is idle before its clock is watched."""

QUICK = SamplingSettings(warm_up_seconds=0.1, warm_up_limit_seconds=1.0, looks=(8, 20), limit_seconds=1.0, solo=0)
"""For cells whose time does not matter."""

Rounds = Callable[[RunPlan], Iterator[Event]]


@dataclass(frozen=True)
class Check:
    """A check that makes a line. `needed`: whether no time can be trusted if it fails."""

    subject: str
    make: Callable[[str], CheckResult]
    needed: bool


@dataclass
class CalibrationSuite:
    """A running calibration. `lines`: the results so far, which later checks use."""

    backend: Backend
    probe: Probe
    host: Host = HOST
    rounds: Rounds = run_rounds
    settings: SamplingSettings = SamplingSettings()  # noqa: RUF009  it is frozen
    lines: list[CheckResult] = field(default_factory=list)
    read: dict[float, list[int]] = field(default_factory=dict)
    write: dict[float, list[int]] = field(default_factory=dict)

    @property
    def checks(self) -> Sequence[Check]:
        return (
            Check("device", self.identity, True),
            Check("loading", self.loading, True),
            Check("flush", self.flush, True),
            Check("dirty L2", self.dirty, False),
            Check("timers", self.timers, True),
            Check("shield", self.shield, True),
            Check("A/A control", self.control, True),
            Check("slope", self.slope, False),
            Check("interaction", self.interaction, False),
            Check("assemblers", self.assemblers, False),
            Check("bandwidth", self.bandwidth, False),
            Check("clock", self.clock_ramp, False),
            Check("containment", self.containment, False),
        )

    def run_check(self, check: Check) -> CheckResult:
        """Make a line. A refusal of the device or a tool is a line too."""
        try:
            line = check.make(check.subject)
        except PtxbenchError as error:
            advice = "Repair this first: without it no time of this device can be trusted." if check.needed else ""
            line = CheckResult(check.subject, FAIL if check.needed else WARN, str(error), advice)
        self.lines.append(line)
        return line

    def record(self) -> CalibrationRecord:
        """All results, in the form of the file."""
        return CalibrationRecord(
            now(), environment.tool(), self.device, toolchain.versions(), calibration(self.lines), self.lines
        )

    # ---- what the checks use

    @cached_property
    def device(self) -> Device:
        return self.backend.device()

    @property
    def measurements(self) -> Calibration:
        return calibration(self.lines)

    @property
    def flushed_backend(self) -> Backend:
        """The backend with the chosen flush."""
        return flushing(self.backend, Flush(self.measurements.flush_k, self.measurements.spin_ns))

    def build(self, path: Path, entry: str, assembler: Literal["toolkit", "driver"] = "toolkit") -> Build:
        return toolchain.build(
            path, language="ptx", variant=assembler, entry=entry, arch=self.device.sm, assembler=assembler
        )

    def clock(self, backend: Backend, build: Build, launch: Launch, arguments: Mapping[str, Any], output: str) -> Clock:
        result = backend.clock(build, launch, arguments, (output,))
        if result is None:
            raise DeviceError(f"{build.source.name}: this backend has no clock.")
        return result

    def copy_clock(self, backend: Backend, arguments: Mapping[str, Any], n: int) -> Clock:
        """The clock of the control kernel, which copies n words."""
        return self.clock(backend, self.build(PATH, "control"), PAIR.launch(n=n), arguments, "y")

    def plan(self, **changes: Any) -> RunPlan:
        return RunPlan((), self.flushed_backend, self.device.sm, HOSTILE, settings=self.settings, **changes)

    # ---- the checks

    def identity(self, subject: str) -> CheckResult:
        """The device's identity, and the source of that information."""
        device, tools = self.device, toolchain.versions()
        words = f"{device.name}, {device.sm}, L2 {(device.l2_bytes or 0) / 2**20:.0f} MiB, "
        words += f"driver {device.driver or 'unknown'}, ptxas {tools['ptxas'] or 'absent'}"
        if self.probe.exclusive():
            words += ", limited to one process at a time"
            advice = "The calibration needs several at once: set the compute mode to DEFAULT (nvidia-smi -c DEFAULT)."
            return CheckResult(subject, FAIL, words, advice)
        if not device.l2_bytes:
            return CheckResult(subject, FAIL, words, "The size of L2 is not known, so it cannot be flushed.")
        if not (device.uuid_hash and device.driver):
            advice = "NVML does not identify this device, so no run will use this calibration. Repair NVML."
            return CheckResult(subject, WARN, words, advice)
        return CheckResult(subject, PASS, words)

    def loading(self, subject: str) -> CheckResult:
        """Whether a cubin and a PTX text load, run and are right."""
        size = PAIR.check_sizes[0]
        arguments = PAIR.make_arguments(size, 1)
        for assembler, status in (("toolkit", FAIL), ("driver", WARN)):
            try:
                built = self.build(PATH, "control", assembler)  # type: ignore[arg-type]
                outputs = self.backend.run(built, PAIR.launch(**size), arguments, PAIR.outputs).outputs
            except PtxbenchError as error:
                return CheckResult(subject, status, f"--assembler {assembler}: {error}", "Times need this assembler.")
            if not np.array_equal(outputs["y"], arguments["x"]):
                words = f"--assembler {assembler}: the copy differs from its source"
                return CheckResult(subject, FAIL, words, "Do not trust any run; check nvidia-smi.")
        return CheckResult(
            subject, PASS, "a cubin from ptxas and PTX assembled by the driver both load, run and are right"
        )

    def flush(self, subject: str) -> CheckResult:
        kinds: tuple[tuple[FlushKind, dict[float, list[int]]], ...] = (("read", self.read), ("write", self.write))
        for turn in range(READINGS + 1):  # one of each in turn, so that all share the drift of the clock
            for times in flush.MULTIPLES:
                for how, curve in kinds:
                    reading = self.probe.read_after(how, times)
                    if turn:  # the first reading makes the buffers
                        curve.setdefault(times, []).append(reading)
        return judge.judge_flush(subject, self.read, self.write)

    def dirty(self, subject: str) -> CheckResult:
        if not self.read or not self.write:
            return CheckResult(subject, WARN, "not measured, because the flush was not")
        return judge.judge_dirty(subject, self.read, self.write, self.measurements.flush_k)

    def timers(self, subject: str) -> CheckResult:
        pairs = [self.probe.event_pair_ns() for _ in range(PAIRS)]
        return judge.judge_timers(subject, self.probe.timer_readings(), pairs)

    def shield(self, subject: str) -> CheckResult:
        times, step = self.measurements.flush_k, self.measurements.timer_step_ns
        host = [self.probe.host_ns() for _ in range(TRIES)]
        flushing = [self.probe.flush_ns(times, 0) for _ in range(TRIES)]
        spin = flush.spin_ns(median(host), median(flushing), step) if step else 0
        shielded = [self.probe.flush_ns(times, spin) for _ in range(TRIES)] if spin else []
        return judge.judge_shield(subject, host, flushing, spin, shielded)

    def control(self, subject: str) -> CheckResult:
        """One kernel against itself, in workers like those of a run."""
        cells, seconds, started = [], [], self.host.now()
        for event in self.rounds(self.plan(rounds=WORKERS)):
            if isinstance(event, Step) and event.phase == "measure":
                started = self.host.now()
            elif isinstance(event, ResultsSoFar) and event.whole:
                seconds.append(self.host.now() - started)
            elif isinstance(event, CellDone):
                cells.append(event.cell)
            elif isinstance(event, DeviceLost):
                raise MachineError(f"the device was lost: {event.reason}")
        rounds = [timed_round for cell in cells for timed_round in cell.rounds if timed_round.contrast[1] == COPY]
        return judge.judge_control(subject, rounds, seconds, limit=self.settings.biased)

    def slope(self, subject: str) -> CheckResult:
        clock = self.copy_clock(self.flushed_backend, PAIR.make_arguments({"n": TINY}, 1), TINY)
        if not clock.graphs:
            return CheckResult(
                subject, WARN, "this backend does not support graphs", "Kernels under 25 µs are timed launch by launch."
            )
        ns: dict[int, list[int]] = {times: [] for times in (1, 2, 4)}
        for turn in range(READINGS + 1):
            for times, readings in ns.items():
                reading = clock.enqueue_graph(times * LAUNCHES)()
                if turn:  # the first reading makes the graph
                    readings.append(reading)
        return judge.judge_slope(subject, LAUNCHES, ns[1], ns[2], ns[4])

    def interaction(self, subject: str) -> CheckResult:
        """A copy, and a kernel with nothing but arithmetic."""
        backend, n = self.flushed_backend, PAIR.bench_sizes[0]["n"]
        copy = self.copy_clock(backend, PAIR.make_arguments({"n": n}, 1), n)
        threads = (self.device.sms or 100) * 2048
        fma = self.clock(
            backend,
            self.build(Path(flush.__file__).with_name("fma_chain.ptx"), "fma_chain"),
            Launch(ceil_div(threads, 256), 256),
            {"y": poison((ceil_div(threads, 256) * 256,), f32), "rounds": np.uint32(ROUNDS)},
            "y",
        )
        settings = dataclasses.replace(self.settings, limit_seconds=2.0)
        measured = measure({"copy": copy, "fma": fma}, seed=1, reference="copy", settings=settings, host=self.host)
        (timed_round,) = measured.rounds
        names = dict(zip("AB", timed_round.contrast, strict=True))
        among = {name: stats.median_ns([timed_round], name) or 0.0 for name in names.values()}
        solo = {names[letter]: times for letter, times in timed_round.solo_ns.items()}
        return judge.judge_solo(subject, solo, among, limit=settings.interaction)

    def assemblers(self, subject: str) -> CheckResult:
        backend, n = self.flushed_backend, PAIR.bench_sizes[0]["n"]
        arguments = PAIR.make_arguments({"n": n}, 1)
        names: tuple[Literal["toolkit", "driver"], ...] = ("toolkit", "driver")
        clocks: dict[str, Clock] = {
            name: self.clock(backend, self.build(PATH, "control", name), PAIR.launch(n=n), arguments, "y")
            for name in names
        }
        measured = measure(clocks, seed=1, reference="toolkit", settings=self.settings, host=self.host)
        return judge.judge_assemblers(subject, measured.rounds, "toolkit", "driver")

    def bandwidth(self, subject: str) -> CheckResult:
        memories = filter(None, (self.device.memory_bytes, environment.memory_bytes()))
        most = min((int(memory * MOST_OF_MEMORY) for memory in memories), default=LEAST_COPY)
        n = min(max(4 * (self.device.l2_bytes or 0), LEAST_COPY), most) // 16 * 4
        arguments = PAIR.make_arguments({"n": n}, 1)
        clock = self.copy_clock(self.flushed_backend, arguments, n)
        ns = [t for _ in range(READINGS) for t in take_block([clock.enqueue] * 4)]
        spec = roofline.specification(self.device)
        right = np.array_equal(clock.outputs()["y"], arguments["x"])
        return judge.judge_bandwidth(subject, 8 * n, ns, spec.bytes_per_s if spec else None, right=right)

    def clock_ramp(self, subject: str) -> CheckResult:
        watch, n = self.backend.watch(), PAIR.bench_sizes[0]["n"]
        clock = self.copy_clock(self.flushed_backend, PAIR.make_arguments({"n": n}, 1), n)
        self.host.sleep(IDLE_SECONDS)
        limit = self.settings.warm_up_limit_seconds
        ticks: list[ClockTick] = []
        started = self.host.now()
        while watch and (passed := self.host.now() - started) < limit + 1:
            take_block([clock.enqueue] * 4)
            if (mhz := watch.state().clock_mhz) is not None:
                ticks.append(ClockTick(passed, mhz))
        return judge.judge_ramp(subject, ticks, limit=limit)

    def containment(self, subject: str) -> CheckResult:
        """Kernels that lose the device or never end: each must lose only its own row."""
        pair_plans, _ = plan_pairs(HOSTILE, emulated=False)
        plan = dataclasses.replace(self.plan(rounds=1, timeout=PATIENCE), pair_plans=pair_plans, settings=QUICK)
        events = list(self.rounds(plan))
        for event in events:
            if isinstance(event, DeviceLost):
                advice = (
                    "On this device a kernel that fails ends the whole run. Restart the driver, then calibrate again."
                )
                return CheckResult(subject, FAIL, f"the device was lost for good: {event.reason}", advice)
        cells = [event.cell for event in events if isinstance(event, CellDone)]
        if harmed := [sentence for cell in cells for sentence in shield_faults(cell)]:
            advice = "Run kernels that may fail on their own: on this device they can spoil other rows too."
            return CheckResult(subject, WARN, "; ".join(harmed), advice)
        names = " and ".join(sorted(cell.pair for cell in cells if not cell.control))
        return CheckResult(subject, PASS, f"{names} cost only their own rows, and the next worker was fine")


def shield_faults(cell: Cell) -> Iterator[str]:
    """What is wrong in a cell of the hostile pairs, or of the control that runs with them."""
    for name, result in cell.variants.items():
        hostile = name == "ptx" and not cell.control
        if hostile and result.status != BROKEN:
            yield f"{cell.pair} went unnoticed: {result.status}"
        if not hostile and result.status in (BROKEN, WRONG):
            yield f"{cell.pair} cost {name} too: {result.reason}"
        if cell.control and result.status != VERIFIED:
            yield f"the control is {result.status}"
