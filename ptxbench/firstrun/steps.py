"""The steps of a first run. Each asks the device and gives the lines of what it found."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ptxbench import stats, toolchain
from ptxbench.backends.base import Backend, Outcome
from ptxbench.calibration.assessment import ABSENT, FAIL, PASS, WARN, Line
from ptxbench.calibration.record import calibrated
from ptxbench.calibration.record import save as save_calibration
from ptxbench.calibration.suite import Checklist
from ptxbench.device_shape import DeviceShape
from ptxbench.discovery import Source, find_pairs
from ptxbench.errors import (
    KernelError,
    MachineError,
    PtxbenchError,
    TargetMismatch,
    ToolMissing,
    UnsupportedInstruction,
)
from ptxbench.executed import Counted, Executed, of_build
from ptxbench.firstrun import counters, profiler
from ptxbench.firstrun.record import Agreement, Done
from ptxbench.measure import Settings
from ptxbench.metrics import REFERENCE
from ptxbench.pair import Launch, ceil_div
from ptxbench.result import BROKEN, COMPLETE, UNJUDGED, VERIFIED, WRONG, Cell, save
from ptxbench.runner import ALL, CellDone, DeviceLost, Frame, Job, Plan, carry_out, document, noise, plan_jobs
from ptxbench.runner import Step as RunStep
from ptxbench.runner.given import errors_of, largest, prepare
from ptxbench.toolchain import Build
from ptxbench.units import size_words
from ptxbench.verify import same_bits, verify

SEED = 1

TIMED = ("triad", "reduce_sum", "transpose", "softmax", "sgemm_tiled")
"""Pairs that are timed and counted: memory, a reduction, shared memory, special functions, arithmetic."""

QUICK = Settings(warm_up_seconds=0.3, warm_up_limit_seconds=2.0, limit_seconds=2.0)
ROUNDS = 3
"""The fewest from which a verdict is given."""

LANES = 32
"""Of a warp."""

NOT_AVAILABLE = "not available: "


@dataclass(frozen=True)
class Bench:
    """What the steps work with. `late`: whether the time is over. `tell`: is told what is being done."""

    checklist: Checklist
    emulator: Backend
    kernels: Path
    folder: Path
    late: Callable[[], bool]
    tell: Callable[[str], None]

    @property
    def gpu(self) -> Backend:
        return self.checklist.backend

    @property
    def arch(self) -> str:
        return str(self.checklist.device["sm"])

    @property
    def shape(self) -> DeviceShape:
        return DeviceShape.of(self.checklist.device)

    def jobs(self, *names: str) -> tuple[Job, ...]:
        """The named pairs that there are, or all where there is none of them, at a bench size of some milliseconds."""
        there = list(find_pairs(self.kernels))
        chosen = [name for name in names if name in there] or there
        jobs, _ = plan_jobs(self.kernels, chosen, variants=("cuda", "ptx"), sizes=(ALL,), device=self.shape)
        return tuple(dataclasses.replace(job, sizes=job.sizes[-1:]) for job in jobs)


Take = Callable[[Bench], Done]


def calibrate(bench: Bench) -> Done:
    """The whole checklist of `doctor --calibrate`, kept as calibration.json."""
    checks = bench.checklist.checks
    for number, check in enumerate(checks, 1):
        bench.tell(f"calibration: {check.subject}, {number} of {len(checks)}")
        bench.checklist.take(check)
    path = save_calibration(bench.checklist.record(), bench.folder)
    return Done("calibration", 0.0, list(bench.checklist.lines), (path.name,))


def measure(bench: Bench) -> Done:
    """A quick `ptxbench run` of some pairs, kept as a run."""
    bench.gpu.release()  # the calibration's buffers, for the workers need the memory
    plan = calibrated(
        Plan(
            bench.jobs(*TIMED), bench.gpu, bench.arch, bench.kernels, seed=SEED, settings=QUICK, rounds=ROUNDS,
            argv=("doctor", "--first-run"),
        ),
        bench.folder,
    )  # fmt: skip
    frame = Frame(plan, dict(bench.checklist.device))
    cells: list[Cell] = []
    lost: str | None = None
    for event in carry_out(plan):
        if isinstance(event, RunStep):
            bench.tell(f"run: {event.pair} {event.variant}, {event.phase}")
        elif isinstance(event, CellDone):
            cells.append(event.cell)
        elif isinstance(event, DeviceLost):
            lost = event.reason
    lines = [judge_cell(cell, noise(cells)) for cell in cells if not cell.control]
    if lost:
        lines.append(Line("run", FAIL, f"the device was lost: {lost}", "Restart the driver, then run this again."))
    path = save(document(frame, cells, COMPLETE), bench.folder) if cells else None
    return Done("run", 0.0, lines, (path.name,) if path else ())


def judge_cell(cell: Cell, floor: stats.Interval | None) -> Line:
    """Whether a pair was right, and how the times of its variants compare."""
    subject = f"run: {cell.pair}"
    for name, result in cell.variants.items():
        if result.status in (WRONG, BROKEN):
            return Line(subject, FAIL, f"{name} is {result.status}: {result.reason}", f"Run ptxbench run {cell.pair}.")
    if left := [name for name, result in cell.variants.items() if result.status != VERIFIED]:
        reason = cell.variants[left[0]].reason
        return Line(subject, ABSENT, f"{NOT_AVAILABLE}{left[0]} is {cell.variants[left[0]].status}: {reason}")
    told = []
    for name in cell.variants:
        if name != REFERENCE and (ratio := stats.ratio(cell.rounds, name, REFERENCE)):
            half = (ratio.high - ratio.low) / 2
            told.append(f"{name} takes {ratio.value:.3f} ±{half:.3f} of the time of {REFERENCE}")
    labels = " ".join(label for label in cell.labels if ":" not in label)
    found = ", ".join([f"{size_words(cell.place)}: {'; '.join(told) or 'no time'}", *([labels] if labels else [])])
    if not told or UNJUDGED & set(cell.labels):
        return Line(subject, WARN, found, "See the label in docs/measuring.md.")
    wide = floor is None or max(abs(floor.low), abs(floor.high)) > 0.01
    return Line(subject, WARN if wide else PASS, found, "The noise floor is over 1 %." if wide else "")


def compare_bits(bench: Bench) -> Done:
    """Every pair once on the device and once on the emulator, on the same data: are the outputs the same bits?"""
    return Done("bits", 0.0, list(each_variant(bench, "bits", bits, bench.jobs())))


Ask = Callable[[Bench, Job, Source, str], Line]
"""Asks one variant; the last argument is the subject of the line."""


def each_variant(bench: Bench, step: str, ask: Ask, jobs: Sequence[Job]) -> Iterator[Line]:
    """A line a variant, until the time is over. A pair whose own PTX is not for this device has one for all."""
    for job in jobs:
        name = job.found.name
        if bench.late():
            yield Line(step, ABSENT, f"{NOT_AVAILABLE}the time was over before {name}")
            return
        if why := not_for(bench, job):
            yield Line(f"{step}: {name}", ABSENT, f"{NOT_AVAILABLE}{why}")
            continue
        for source in job.sources:
            subject = f"{step}: {name} {source.variant}"
            bench.tell(subject)
            yield asked(subject, partial(ask, bench, job, source, subject))


def not_for(bench: Bench, job: Job) -> str | None:
    """Why a pair is not for this device: its hand-written PTX is for others."""
    try:
        for source in job.sources:
            if source.variant == "ptx":
                toolchain.build_source(source, bench.arch)
    except TargetMismatch as error:
        return str(error)
    except PtxbenchError:
        pass  # whoever builds it next is told
    return None


def bits(bench: Bench, job: Job, source: Source, subject: str) -> Line:
    built = toolchain.build_source(source, bench.arch)
    given = prepare(job, largest(job), SEED)
    pair, launch = job.found.pair, job.found.pair.launch(**given.size)
    bench.gpu.require(built, launch)
    by_gpu = bench.gpu.run(built, launch, given.arguments, pair.outputs)
    allowed = given.expected.widened(errors_of(by_gpu.approximate))
    verdict = verify(by_gpu.outputs, allowed, f"{source.variant}, {given.where}")
    if verdict.worst:
        return Line(subject, FAIL, verdict.worst, f"Run ptxbench run {job.found.name}.")
    by_emulator = bench.emulator.run(built, launch, given.arguments, pair.outputs)
    if same_bits(pair.outputs, by_gpu.outputs, by_emulator.outputs):
        return Line(subject, PASS, f"{given.where}: the emulator's bits")
    found = f"{given.where}: other bits than the emulator's, within the tolerance"
    if inexact := [*by_emulator.approximate, *(["matrix instructions by a model"] if by_emulator.modelled else [])]:
        return Line(subject, PASS, f"{found}, by {', '.join(inexact)}")
    advice = "Atomics in another order do this. If the kernel has none, report it with the file first-run.json."
    return Line(subject, WARN, found, advice)


def compare_counters(bench: Bench) -> Done:
    """What the emulator counts of a launch, and what the hardware does."""
    found: list[Agreement] = []
    lines: list[Line] = []
    try:
        ask = partial(count, profiler.find(), found)
        for line in each_variant(bench, "counters", ask, bench.jobs(*TIMED)):
            lines.append(line)
    except profiler.Unavailable as error:  # what hinders one hinders all
        lines.append(Line("counters", ABSENT, f"{NOT_AVAILABLE}{error}"))
    return Done("counters", 0.0, lines, counters=found)


def count(program: str, found: list[Agreement], bench: Bench, job: Job, source: Source, subject: str) -> Line:
    """Both counts of one launch of one variant, which are added to `found`."""
    built, size = toolchain.build_source(source, bench.arch), largest(job)
    pair, name = job.found.pair, job.found.name
    launch, arguments = pair.launch(**size), pair.make_arguments(size, SEED)
    bench.gpu.require(built, launch)
    outcome = bench.emulator.run(built, launch, arguments, pair.outputs)
    emulated, bounds = dict(outcome.counts or {}), {}
    derived = executed_by(built, launch, outcome)
    if derived.fit is not None and derived.least is not None and derived.most is not None:
        emulated[counters.EXECUTED], bounds[counters.EXECUTED] = derived.fit, (derived.least, derived.most)
    target = profiler.Target(bench.kernels, name, source.variant, source.entry, tuple(size.items()), bench.arch, SEED)
    own = counters.agreements(name, source.variant, size, emulated, profiler.profile(program, target), bounds)
    found += own
    return counters.judge(subject, own)


def executed_by(build: Build, launch: Launch, outcome: Outcome) -> Executed:
    """Machine instructions that the launch executed, by what the emulator counted."""
    warps = math.prod(launch.grid_xyz) * ceil_div(math.prod(launch.block_xyz), LANES)
    return of_build(build, Counted(outcome.by_line or {}, warps, outcome.loops or {}))


def asked(subject: str, make: Callable[[], Line]) -> Line:
    """The line, or why there is none: what the machine lacks is no failure, what a kernel does is one."""
    try:
        return make()
    except profiler.Unavailable:
        raise
    except (MachineError, ToolMissing, TargetMismatch, UnsupportedInstruction) as error:
        return Line(subject, ABSENT, f"{NOT_AVAILABLE}{error}")
    except KernelError as error:
        return Line(subject, FAIL, str(error), "Run it with --backend emulator, which names the line.")
    except PtxbenchError as error:
        return Line(subject, WARN, str(error))


STEPS: dict[str, Take] = {
    "calibration": calibrate,
    "run": measure,
    "bits": compare_bits,
    "counters": compare_counters,
}
"""In the order in which they are taken: each uses what those before it found."""


def timed(take: Take, bench: Bench) -> Done:
    """The step, with the seconds that it took."""
    begun = bench.checklist.host.now()
    done = take(bench)
    return dataclasses.replace(done, seconds=bench.checklist.host.now() - begun)
