"""The steps of a first run. Each uses the device and returns the lines of its results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ptxbench import stats, toolchain
from ptxbench.backends.base import Backend
from ptxbench.calibration import record
from ptxbench.calibration.assessment import ABSENT, FAIL, PASS, WARN, CheckResult
from ptxbench.calibration.record import calibrated
from ptxbench.calibration.suite import CalibrationSuite
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
from ptxbench.firstrun.record import StepDone
from ptxbench.measure import SamplingSettings
from ptxbench.metrics import REFERENCE
from ptxbench.profiling import ncu
from ptxbench.profiling.counters import Agreement, agreements
from ptxbench.profiling.emulated import counts_of
from ptxbench.result import BROKEN, UNJUDGED, VERIFIED, WRONG, Cell, save
from ptxbench.runner import (
    ALL,
    PairPlan,
    RunFrame,
    RunOutcome,
    RunPlan,
    carry_out,
    document,
    noise,
    plan_pairs,
)
from ptxbench.runner import Step as RunStep
from ptxbench.runner.case_data import draw_arguments, errors_of, largest, prepare_case
from ptxbench.units import size_words
from ptxbench.verify import same_bits, verify

SEED = 1

TIMED = ("triad", "reduce_sum", "transpose", "softmax", "sgemm_tiled")
"""Pairs that are timed and counted: memory, a reduction, shared memory, special functions, arithmetic."""

QUICK = SamplingSettings(warm_up_seconds=0.3, warm_up_limit_seconds=2.0, limit_seconds=2.0)
ROUNDS = 3
"""The fewest rounds for a verdict."""

MOST_NAMED = 3
"""The most differing counters that a line names."""

NOT_AVAILABLE = "not available: "


@dataclass(frozen=True)
class FirstRunSetup:
    """The input of the steps. `late`: whether the time limit is reached. `on_action`: gets the current action."""

    suite: CalibrationSuite
    emulator: Backend
    kernels: Path
    folder: Path
    late: Callable[[], bool]
    on_action: Callable[[str], None]

    @property
    def gpu(self) -> Backend:
        return self.suite.backend

    @property
    def arch(self) -> str:
        return self.suite.device.sm

    @property
    def shape(self) -> DeviceShape:
        return DeviceShape.of(self.suite.device)

    def pair_plans(self, *names: str) -> tuple[PairPlan, ...]:
        """The named pairs that exist, or all pairs if none of them does, at a bench size of some milliseconds."""
        existing = list(find_pairs(self.kernels))
        chosen = [name for name in names if name in existing] or existing
        pair_plans, _ = plan_pairs(self.kernels, chosen, variants=("cuda", "ptx"), sizes=(ALL,), device=self.shape)
        return tuple(
            dataclasses.replace(pair_plan.for_architecture(self.arch, any_gpu=False), sizes=pair_plan.sizes[-1:])
            for pair_plan in pair_plans
        )


StepFunction = Callable[[FirstRunSetup], StepDone]


def calibrate(setup: FirstRunSetup) -> StepDone:
    """The whole checklist of `doctor --calibrate`, saved as calibration.json."""
    checks = setup.suite.checks
    for number, check in enumerate(checks, 1):
        setup.on_action(f"calibration: {check.subject}, {number} of {len(checks)}")
        setup.suite.run_check(check)
    path = record.FILE.save(setup.suite.record(), setup.folder)
    return StepDone("calibration", 0.0, list(setup.suite.lines), (path.name,))


def measure(setup: FirstRunSetup) -> StepDone:
    """A quick `ptxbench run` of some pairs, saved as a run."""
    setup.gpu.release()  # free the calibration's buffers, because the workers need the memory
    plan = calibrated(
        RunPlan(
            setup.pair_plans(*TIMED), setup.gpu, setup.arch, setup.kernels, seed=SEED, settings=QUICK, rounds=ROUNDS,
            argv=("doctor", "--first-run"),
        ),
        setup.folder,
    )  # fmt: skip
    frame = RunFrame(plan, setup.suite.device)
    outcome = RunOutcome()
    for event in carry_out(plan):
        outcome.add(event)
        if isinstance(event, RunStep):
            setup.on_action(f"run: {event.pair} {event.variant}, {event.phase}")
    outcome.finish()
    cells, lost = outcome.cells, outcome.lost
    lines = [judge_cell(cell, noise(cells)) for cell in cells if not cell.control]
    if lost:
        lines.append(
            CheckResult("run", FAIL, f"the device was lost: {lost}", "Restart the driver, then run this again.")
        )
    path = save(document(frame, cells, outcome.status), setup.folder) if cells else None
    return StepDone("run", 0.0, lines, (path.name,) if path else ())


def judge_cell(cell: Cell, floor: stats.Interval | None) -> CheckResult:
    """Whether a pair was right, and how the times of its variants compare."""
    subject = f"run: {cell.pair}"
    for name, result in cell.variants.items():
        if result.status in (WRONG, BROKEN):
            return CheckResult(
                subject, FAIL, f"{name} is {result.status}: {result.reason}", f"Run ptxbench run {cell.pair}."
            )
    if unverified := [name for name, result in cell.variants.items() if result.status != VERIFIED]:
        reason = cell.variants[unverified[0]].reason
        return CheckResult(
            subject, ABSENT, f"{NOT_AVAILABLE}{unverified[0]} is {cell.variants[unverified[0]].status}: {reason}"
        )
    ratios = []
    for name in cell.variants:
        if name != REFERENCE and (ratio := stats.ratio(cell.rounds, name, REFERENCE)):
            half = (ratio.high - ratio.low) / 2
            ratios.append(f"{name}: {ratio.value:.3f} ±{half:.3f} of the time of {REFERENCE}")
    labels = " ".join(label for label in cell.labels if ":" not in label)
    words = ", ".join([f"{size_words(cell.point)}: {'; '.join(ratios) or 'no time'}", *([labels] if labels else [])])
    if not ratios or UNJUDGED & set(cell.labels):
        return CheckResult(subject, WARN, words, "See the label in docs/measuring.md.")
    wide = floor is None or max(abs(floor.low), abs(floor.high)) > 0.01
    return CheckResult(subject, WARN if wide else PASS, words, "The noise floor is over 1 %." if wide else "")


def compare_bits(setup: FirstRunSetup) -> StepDone:
    """Whether every pair writes the same bits on the device as on the emulator, on the same data."""
    return StepDone("bits", 0.0, list(each_variant(setup, "bits", compare_bits_of, setup.pair_plans())))


TestVariant = Callable[[FirstRunSetup, PairPlan, Source, str], CheckResult]
"""Tests one variant and returns a line; the last argument is the line's subject."""


def each_variant(
    setup: FirstRunSetup, step: str, test_variant: TestVariant, pair_plans: Sequence[PairPlan]
) -> Iterator[CheckResult]:
    """One line per variant, until the time limit. A pair whose PTX is not for this device has only one line."""
    for pair_plan in pair_plans:
        name = pair_plan.loaded.name
        if setup.late():
            yield CheckResult(step, ABSENT, f"{NOT_AVAILABLE}the time limit was reached before {name}")
            return
        if why := why_not_for(setup, pair_plan):
            yield CheckResult(f"{step}: {name}", ABSENT, f"{NOT_AVAILABLE}{why}")
            continue
        for source in pair_plan.sources:
            subject = f"{step}: {name} {source.variant}"
            setup.on_action(subject)
            yield line_or_reason(subject, partial(test_variant, setup, pair_plan, source, subject))


def why_not_for(setup: FirstRunSetup, pair_plan: PairPlan) -> str | None:
    """Why a pair is not for this device: its hand-written PTX is for other devices."""
    try:
        for source in pair_plan.sources:
            if source.variant == "ptx":
                toolchain.build_source(source, pair_plan.arch)
    except TargetMismatch as error:
        return str(error)
    except PtxbenchError:
        pass  # the next build reports it
    return None


def compare_bits_of(setup: FirstRunSetup, pair_plan: PairPlan, source: Source, subject: str) -> CheckResult:
    """Whether a kernel gives the same bits on the GPU and on the emulator, at its largest size in the plan."""
    built = toolchain.build_source(source, pair_plan.arch)
    case = prepare_case(pair_plan, largest(pair_plan), SEED)
    pair = pair_plan.loaded.pair
    launch = built.launched(pair.launch_of(source.variant)(**case.size))
    setup.gpu.require(built, launch)
    by_gpu = setup.gpu.run(built, launch, case.arguments, pair.outputs)
    allowed = case.expected.widened(errors_of(by_gpu.approximate))
    verdict = verify(by_gpu.outputs, allowed, f"{source.variant}, {case.where}")
    if verdict.worst:
        return CheckResult(subject, FAIL, verdict.worst, f"Run ptxbench run {pair_plan.loaded.name}.")
    by_emulator = setup.emulator.run(built, launch, case.arguments, pair.outputs)
    if same_bits(pair.outputs, by_gpu.outputs, by_emulator.outputs):
        return CheckResult(subject, PASS, f"{case.where}: the same bits as on the emulator")
    words = f"{case.where}: not the same bits as on the emulator, but within the tolerance"
    if inexact := [*by_emulator.approximate, *(["matrix instructions by a model"] if by_emulator.modelled else [])]:
        return CheckResult(subject, PASS, f"{words}, by {', '.join(inexact)}")
    advice = "Atomics in another order can cause this. If the kernel has none, report it with the file first-run.json."
    return CheckResult(subject, WARN, words, advice)


def compare_counters(setup: FirstRunSetup) -> StepDone:
    """The counts of a launch by the emulator and by the hardware."""
    counted: list[Agreement] = []
    lines: list[CheckResult] = []
    try:
        test_variant = partial(count_variant, ncu.find(), counted)
        for line in each_variant(setup, "counters", test_variant, setup.pair_plans(*TIMED)):
            lines.append(line)
    except ncu.Unavailable as error:  # then no variant can be counted
        lines.append(CheckResult("counters", ABSENT, f"{NOT_AVAILABLE}{error}"))
    return StepDone("counters", 0.0, lines, counters=counted)


def count_variant(
    program: str, counted: list[Agreement], setup: FirstRunSetup, pair_plan: PairPlan, source: Source, subject: str
) -> CheckResult:
    """Both counts of one launch of one variant, which are added to `counted`."""
    built, size = toolchain.build_source(source, pair_plan.arch), largest(pair_plan)
    pair, name = pair_plan.loaded.pair, pair_plan.loaded.name
    launch = built.launched(pair.launch_of(source.variant)(**size))
    arguments = draw_arguments(pair_plan, size, SEED)
    setup.gpu.require(built, launch)
    emulated, bounds = counts_of(built, launch, setup.emulator.run(built, launch, arguments, pair.outputs))
    target = ncu.ProfileTarget(
        setup.kernels, name, source.variant, source.entry, tuple(size.items()), pair_plan.arch, SEED
    )
    agreements_of_launch = agreements(name, source.variant, size, emulated, ncu.profile(program, target).counts, bounds)
    counted += agreements_of_launch
    return judge_counters(subject, agreements_of_launch)


def judge_counters(subject: str, counted: Sequence[Agreement]) -> CheckResult:
    """Whether the emulator counted one launch as the hardware did."""
    differing = [counter for counter in counted if not counter.agrees]
    words = f"{len(counted) - len(differing)} of {len(counted)} counters agree with the emulator"
    if not differing:
        return CheckResult(subject, PASS, words)
    differences = "; ".join(
        f"{counter.counter}: {counter.measured:,.0f}, emulator {counter.emulated:,.0f}"
        for counter in differing[:MOST_NAMED]
    )
    more = f"; and {len(differing) - MOST_NAMED} more" if len(differing) > MOST_NAMED else ""
    advice = (
        "The machine code may access memory differently than its PTX: see ptxbench show. If it does not, report this."
    )
    return CheckResult(subject, WARN, f"{words}. {differences}{more}", advice)


def line_or_reason(subject: str, make: Callable[[], CheckResult]) -> CheckResult:
    """The line, or the reason why there is none.

    A missing part of the machine is not a failure; a fault of a kernel is.
    """
    try:
        return make()
    except ncu.Unavailable:
        raise
    except (MachineError, ToolMissing, TargetMismatch, UnsupportedInstruction) as error:
        return CheckResult(subject, ABSENT, f"{NOT_AVAILABLE}{error}")
    except KernelError as error:
        return CheckResult(subject, FAIL, str(error), "Run it with --backend emulator: it reports the line.")
    except PtxbenchError as error:
        return CheckResult(subject, WARN, str(error))


STEPS: dict[str, StepFunction] = {
    "calibration": calibrate,
    "run": measure,
    "bits": compare_bits,
    "counters": compare_counters,
}
"""The steps in their order: each uses the results of those before it."""


def run_step(step_function: StepFunction, setup: FirstRunSetup) -> StepDone:
    """The step, with the seconds that it took."""
    started = setup.suite.host.now()
    done = step_function(setup)
    return dataclasses.replace(done, seconds=setup.suite.host.now() - started)
