"""A run in one process: build every variant, verify it at every check size, then count or time it at its own size.

A fault of a kernel affects only its variant. Nothing is printed here: events report progress.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from ptxbench import oracle, roofline, toolchain
from ptxbench.backends.base import Clock, LaunchOutcome
from ptxbench.discovery import Source, display_path
from ptxbench.discovery.text import PairText
from ptxbench.errors import KernelError, LaunchUnavailable, MachineError, PairError, ToolMissing
from ptxbench.measure import CellMeasurement, measure
from ptxbench.metrics import REFERENCE
from ptxbench.pair import EXACT, Launch, Pair, Size
from ptxbench.result import BITS_DIFFER, MODELLED, ORACLE_WEAK, Cell, LaunchReport, Round
from ptxbench.runner import memory
from ptxbench.runner.candidate import VariantRun
from ptxbench.runner.case_data import (
    CaseData,
    errors_of,
    largest,
    pair_errors,
    prepare_case,
    prepare_cell_case,
    tolerance_words,
    too_large,
)
from ptxbench.runner.events import CellDone, DeviceLost, Event, Step
from ptxbench.runner.machine_code import with_executed
from ptxbench.runner.modelling import model_of
from ptxbench.runner.plan import PairPlan, RunPlan
from ptxbench.runner.renewal import Renewal
from ptxbench.runner.snapshots import OutputSnapshots, with_verified_outputs
from ptxbench.runner.timed import ClockError, MarkedClock, PendingSamples, TimedClock
from ptxbench.signature import check_signature
from ptxbench.toolchain import Build
from ptxbench.toolchain.locate import INSTALL
from ptxbench.verify import Expected, Verdict, same_bits, verify

Builds = Mapping[tuple[str, Source], "Future[Build]"]
"""The builds that were started, by architecture and variant."""
Result = TypeVar("Result")


def run(plan: RunPlan) -> Iterator[Event]:
    """Do the cells of `plan`, one after the other."""
    plan = replace(plan, pair_plans=tuple(pair_plan.on(pair_plan.arch or plan.arch) for pair_plan in plan.pair_plans))
    try:
        session = Session(plan)
    except MachineError as error:  # the device does not even report its name
        yield DeviceLost(str(error))
        return
    pool = toolchain.builders()
    try:
        builds = {
            (pair_plan.arch, source): pool.submit(toolchain.build_source, source, pair_plan.arch, plan.assembler)
            for pair_plan in plan.pair_plans
            for source in pair_plan.sources
        }
        for pair_plan in plan.pair_plans:
            yield from session.pair(pair_plan, builds)
            if reason := session.lost:
                yield DeviceLost(reason, session.suspects)
                return
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class Session:
    """A run in progress: the plan, and how much of it is done."""

    def __init__(self, plan: RunPlan) -> None:
        self.plan = plan
        self.backend = plan.backend
        self.device = plan.backend.device()
        self.total = sum(map(steps, plan.pair_plans))
        self.done = 0
        self.suspects: tuple[str, ...] = ()
        """The variants whose kernels may have lost the device."""

    @property
    def lost(self) -> str | None:
        """Why the device can no longer be used in this process; None while it can."""
        return self.backend.lost

    def fail(
        self,
        candidate: VariantRun,
        error: KernelError | MachineError | ToolMissing,
        suspects: tuple[str, ...] | None = None,
    ) -> None:
        """End the candidate with an error. If its kernel lost the device, record which variants may have caused
        that."""
        if self.lost and not self.suspects and isinstance(error, KernelError):
            self.suspects = suspects or (candidate.source.variant,)
        candidate.fail(error)

    def release(self) -> None:
        """Free the device memory of earlier cells, so that no cell depends on them."""
        if not self.lost:
            self.plan.mark("")
            with suppress(MachineError):  # not the fault of a variant; if the device is lost, the backend reports it
                self.backend.release()

    def step(self, pair_plan: PairPlan, candidate: VariantRun, phase: str, size: Size | None = None) -> Step:
        self.done += 1
        return Step(
            self.done - 1, self.total, pair_plan.loaded.name, candidate.source.variant, phase, size, pair_plan.knobs
        )

    def pair(self, pair_plan: PairPlan, builds: Builds) -> Iterator[Event]:
        """Everything of one pair."""
        end = self.done + steps(pair_plan)
        must_fail = pair_plan.loaded.pair.must_fail
        candidates = [VariantRun(source, source.variant in must_fail) for source in pair_plan.sources]
        for candidate in candidates:
            yield self.step(pair_plan, candidate, "build")
            take_build(pair_plan, candidate, builds[pair_plan.arch, candidate.source])
            self.require_cubin(candidate)
        for own_ptx in (candidate for candidate in candidates if candidate.source.variant == "ptx"):
            for candidate in candidates:
                candidate.skip_for_target(own_ptx)
        labels: set[str] = set()
        self.release()
        for size, integers in checks(pair_plan):
            if not self.lost and self.any_can_launch(candidates, pair_plan.loaded.pair, size):
                repeated = size == largest(pair_plan) and not integers
                with self.plan.host_work():
                    data = prepare_case(pair_plan, size, self.plan.seed, integers=integers, repeated=repeated)
                labels |= yield from self.verify(pair_plan, candidates, data)
        for candidate in candidates:
            candidate.require_failure()
        weak = self.oracle_weaknesses(pair_plan, candidates) if pair_plan.oracle_asked else None
        for number, size in enumerate(pair_plan.sizes, 1):
            yield CellDone(
                (yield from self.cell(pair_plan, candidates, size, labels, weak)), last=number == len(pair_plan.sizes)
            )
            if self.lost:
                return
        self.done = end

    def require_cubin(self, candidate: VariantRun) -> None:
        """On a GPU, `toolkit` promises that ptxas assembled the timed code; the driver must not do it instead."""
        plan, build = self.plan, candidate.build
        if plan.backend.name == "gpu" and plan.assembler == "toolkit" and build and not (build.cubin or build.library):
            candidate.fail(ToolMissing(f"ptxas is not installed: {INSTALL}; or use --assembler driver."))

    def any_can_launch(self, candidates: Sequence[VariantRun], pair: Pair, size: Size) -> bool:
        """Whether any candidate can be launched at that size.

        A candidate that the backend cannot launch fails with the reason.
        """
        for candidate in candidates:
            if candidate.alive and candidate.build and not self.lost:
                try:
                    self.backend.require(candidate.build, candidate.launch(pair, size))
                except (KernelError, MachineError) as error:
                    self.fail(candidate, error)
        return any(candidate.alive and candidate.build for candidate in candidates)

    def require_memory(self, pair_plan: PairPlan, candidates: Sequence[VariantRun], size: Size) -> None:
        """Skip the candidates, before any data is made, if the host or the device cannot hold that size."""
        pair = pair_plan.loaded.pair
        if why := memory.device_lacks(pair, size, self.device) or memory.host_lacks(pair, size):
            for candidate in candidates:
                if candidate.alive:
                    candidate.fail(LaunchUnavailable(f"{why} Choose a smaller --size."))

    def oracle_weaknesses(self, pair_plan: PairPlan, candidates: Sequence[VariantRun]) -> tuple[str, ...] | None:
        """The wrong results that the pair's oracle accepts at every check size; None if no kernel is right."""
        alive = [candidate for candidate in candidates if candidate.alive and candidate.build]
        if not alive or self.lost:
            return None
        with self.plan.host_work(), pair_errors(pair_plan, largest(pair_plan)):
            accepted = oracle.weaknesses(pair_plan.loaded.pair, self.plan.seed, errors_of(approximate(alive)))
        return tuple(f"{wrong_output} at every check size" for wrong_output in accepted)

    def oracle_weaknesses_at(
        self, pair_plan: PairPlan, candidates: Sequence[VariantRun], case: CaseData
    ) -> tuple[str, ...]:
        """The wrong results that the pair's oracle accepts at the size of a cell, on the data of that cell."""
        alive = [candidate for candidate in candidates if candidate.alive and candidate.build]
        if not alive or self.lost:
            return ()
        with self.plan.host_work(), pair_errors(pair_plan, case.size):
            expected = case.expected.widened(errors_of(approximate(alive)))
            accepted = oracle.accepted(pair_plan.loaded.pair, case.size, case.arguments, expected, self.plan.seed)
        return tuple(f"{wrong_output} at {case.where}" for wrong_output in accepted)

    def verify(
        self, pair_plan: PairPlan, candidates: Sequence[VariantRun], case: CaseData
    ) -> Generator[Event, None, set[str]]:
        """Run every active variant once on the data of `case`, and verify its outputs. Returns the labels."""
        pair, size, expected = pair_plan.loaded.pair, case.size, case.expected
        labels: set[str] = set()
        first: Mapping[str, Any] | None = None
        for candidate in candidates:
            if candidate.alive and candidate.build and not self.lost:
                yield self.step(pair_plan, candidate, "verify", size)
                try:
                    launch = candidate.launch(pair, size)
                    outcome = self.backend.run(candidate.build, launch, case.arguments, pair.outputs)
                except (KernelError, MachineError) as error:
                    self.fail(candidate, error)
                    continue
                except MemoryError:
                    raise too_large(pair_plan, size) from None
                with self.plan.host_work():
                    verdict = verdict_on(outcome, expected, f"{candidate.label}, {case.where}")
                    candidate.add_verdict(size, verdict, outcome)
                if case.repeated and candidate.alive:
                    self.repeat(pair_plan, candidate, case, outcome.outputs)
                if not candidate.alive:
                    continue
                with self.plan.host_work():
                    candidate.observed = observed(pair_plan, size, outcome.outputs)
                    first = first or outcome.outputs
                    if outcome.modelled:
                        labels.add(MODELLED)
                    if expected.tolerance == EXACT.describe and not same_bits(expected.outputs, first, outcome.outputs):
                        labels.add(BITS_DIFFER + candidate.source.variant)
        return labels

    def repeat(self, pair_plan: PairPlan, candidate: VariantRun, case: CaseData, first: Mapping[str, Any]) -> None:
        """Launch on the same data again and compare all bits with the `first` outputs. If any differ, verify them."""
        pair = pair_plan.loaded.pair
        assert candidate.build is not None
        try:
            launch = candidate.launch(pair, case.size)
            for outcome in self.backend.again(candidate.build, launch, case.arguments, pair.outputs):
                with self.plan.host_work():
                    candidate.deterministic = same_bits(case.expected.outputs, first, outcome.outputs)
                if not candidate.deterministic:
                    where = f"{candidate.label}, {case.where}, in another launch"
                    candidate.add_verdict(case.size, verdict_on(outcome, case.expected, where), outcome)
                    return
        except (KernelError, MachineError) as error:
            self.fail(candidate, error)
        except MemoryError:
            raise too_large(pair_plan, case.size) from None

    def cell(
        self,
        pair_plan: PairPlan,
        candidates: Sequence[VariantRun],
        size: Size,
        labels: set[str],
        weak: tuple[str, ...] | None,
    ) -> Generator[Event, None, Cell]:
        """Verify at the cell's own size, and time the variants there if there is a clock."""
        pair, plan = pair_plan.loaded.pair, self.plan
        cell_candidates = [candidate.fork() for candidate in candidates]
        launch = pair.launch(**size)
        measured = CellMeasurement()
        self.release()
        self.require_memory(pair_plan, cell_candidates, size)
        if not self.lost and self.any_can_launch(cell_candidates, pair, size):
            with plan.host_work():
                data = prepare_cell_case(pair_plan, size, plan.seed)
            labels = labels | (yield from self.verify(pair_plan, cell_candidates, data))
            if weak is not None:
                weak = (*weak, *self.oracle_weaknesses_at(pair_plan, cell_candidates, data))
            measured = yield from self.measure(pair_plan, cell_candidates, launch, data)
        if self.lost:
            for candidate in cell_candidates:
                if candidate.alive:
                    candidate.fail(MachineError(f"The device was lost before this variant was tried: {self.lost}"))
        cell = Cell(
            pair=pair_plan.loaded.name,
            size=dict(size),
            arch=pair_plan.arch,
            launch=LaunchReport(**launch.recorded),
            work=pair.work(size),
            variants=with_executed(
                {
                    candidate.source.variant: candidate.result(
                        candidate.launch(pair, size),
                        f"float64, {display_path(pair_plan.loaded.path)}",
                        tolerance_words(pair),
                        launch if candidate.source.launch is None else None,
                    )
                    for candidate in cell_candidates
                },
                # not for a sweep, which compares its points by their PTX: each derivation runs ptxas once more
                {
                    run.source.variant: run.executed(run.launch(pair, size))
                    for run in cell_candidates
                    if not pair_plan.knobs
                },
            ),
            cache=plan.cache,
            labels=sorted(labels | measured.labels | ({ORACLE_WEAK} if weak else set())),
            rounds=measured.rounds,
            oracle=weak,
            limits=roofline.limits(self.device, self.plan.calibration),
            knobs=dict(pair_plan.knobs),
        )
        if plan.model:
            cell = replace(cell, model=model_of(cell, cell_candidates, pair, plan.model))
        return roofline.disproved(cell, self.device)

    def measure(
        self, pair_plan: PairPlan, candidates: Sequence[VariantRun], launch: Launch, case: CaseData
    ) -> Generator[Event, None, CellMeasurement]:
        """Time the verified variants together, if the reference is verified and the backend has a clock."""
        alive = {run.source.variant: run for run in candidates if run.alive and run.build}
        if REFERENCE not in alive or self.lost:
            return CellMeasurement()
        clocks = self.clocks(pair_plan, alive, case)
        while len(clocks) > 1:
            yield self.step(pair_plan, alive[next(reversed(clocks))], "measure", case.size)
            renewal = Renewal(self.plan, pair_plan, case.size, clocks) if self.plan.renewed else None
            snapshots = OutputSnapshots(clocks, renewal.case if renewal else lambda: case)
            try:
                measured = measure(
                    clocks,
                    reference=REFERENCE,
                    seed=self.plan.seed,
                    round_number=self.plan.round_number,
                    process=self.plan.process,
                    settings=self.plan.settings,
                    watch=self.backend.watch(),
                    floor=self.floor(launch, case),
                    observer=snapshots,
                    renewal=renewal,
                )
                with self.plan.host_work():
                    return replace(
                        measured, rounds=self.verify_timed_outputs(pair_plan, snapshots, alive, case, measured.rounds)
                    )
            except MachineError as error:  # an error of the empty kernel, without which no variant has a time
                for candidate in filter(lambda run: run.alive, alive.values()):
                    self.fail(candidate, error)
                break
            except ClockError as error:  # the other variants are measured without this one, if the device still works
                self.fail(error.candidate, error.cause, error.suspects)
                del clocks[error.candidate.source.variant]
                if self.lost or REFERENCE not in clocks:
                    break
        return CellMeasurement()

    def clocks(self, pair_plan: PairPlan, alive: Mapping[str, VariantRun], case: CaseData) -> dict[str, TimedClock]:
        """A clock for each variant that can be launched, the reference first; none if the reference has none."""
        pair, pending = pair_plan.loaded.pair, PendingSamples(pair_plan.one_at_a_time)
        clocks: dict[str, TimedClock] = {}
        for name in (REFERENCE, *(variant for variant in alive if variant != REFERENCE)):
            candidate = alive[name]
            assert candidate.build is not None
            self.plan.mark(name)
            try:
                clock = self.backend.clock(
                    candidate.build,
                    candidate.launch(pair, case.size),
                    case.arguments,
                    pair.outputs,
                    updated=pair.updated,
                    scratch=pair.scratch,
                    cache=self.plan.cache,
                )
            except (KernelError, MachineError) as error:
                self.fail(candidate, error)
                if self.lost or name == REFERENCE:
                    return {}
                continue
            if clock is None:
                return {}
            clocks[name] = TimedClock(name, clock, self.plan.mark, candidate, pending)
        return clocks

    def floor(self, launch: Launch, case: CaseData) -> Clock | None:
        """The clock of the empty kernel."""
        self.plan.mark("")
        clock = self.backend.floor(launch, case.arguments)
        return clock and MarkedClock("", clock, self.plan.mark)

    def verify_timed_outputs(
        self,
        pair_plan: PairPlan,
        snapshots: OutputSnapshots,
        alive: Mapping[str, VariantRun],
        case: CaseData,
        rounds: Sequence[Round],
    ) -> list[Round]:
        """Verify the outputs of the timed samples.

        A variant that was wrong then is wrong, and its samples are dropped.
        """
        verdicts = snapshots.verdicts(
            {name: errors_of(candidate.approximate) for name, candidate in alive.items()},
            {name: candidate.label for name, candidate in alive.items()},
        )
        for snapshot, verdict in verdicts:
            if alive[snapshot.variant].alive:
                alive[snapshot.variant].add_timed_verdict(verdict)
        values_by_variant = {
            snapshot.variant: observed(pair_plan, case.size, snapshot.outputs) for snapshot in snapshots.snapshots
        }
        return [
            replace(
                timed, observed={name: values for name in timed.contrast if (values := values_by_variant.get(name))}
            )
            for timed in with_verified_outputs(rounds, verdicts)
        ]


def verdict_on(outcome: LaunchOutcome, expected: Expected, where: str) -> Verdict:
    """Verify the outputs of a launch. Few need wider bounds, which take longer to compute than the comparison."""
    verdict = verify(outcome.outputs, expected, where)
    if verdict.worst is None:
        return verdict
    return verify(outcome.outputs, expected.widened(errors_of(outcome.approximate)), where)


def approximate(candidates: Sequence[VariantRun]) -> set[str]:
    """The approximate instructions that any of them executed."""
    return {opcode for candidate in candidates for opcode in candidate.approximate}


def observed(pair_plan: PairPlan, size: Size, outputs: Mapping[str, Any]) -> Mapping[str, float] | None:
    """What the pair reads from the arrays of a launch, by name; None for a pair that reads nothing.

    Raises PairError for numbers that are not finite, which a result file cannot have.
    """
    if pair_plan.loaded.pair.observe is None:
        return None
    with pair_errors(pair_plan, size):
        returned = pair_plan.loaded.pair.observe(outputs, size)
        if not isinstance(returned, Mapping):
            raise PairError(f"observe returns {type(returned)}. It must return a dict of numbers by name.", "observe")
        numbers = {name: float(value) for name, value in returned.items()}
        for name, value in numbers.items():
            if not isinstance(name, str) or not math.isfinite(value):
                sentence = "It must return finite numbers by name; leave out a number that does not exist."
                raise PairError(f"observe returns {name!r}: {value}. {sentence}", "observe")
        return numbers


def checks(pair_plan: PairPlan) -> list[tuple[Size, bool]]:
    """The pair's check sizes, each with random data and, if any order of operations is exact, whole numbers."""
    kinds = (False, True) if pair_plan.loaded.pair.exact_on_integers else (False,)
    return [(size, integers) for size in pair_plan.loaded.pair.check_sizes for integers in kinds]


def steps(pair_plan: PairPlan) -> int:
    """The steps of a pair's plan, if nothing fails and nothing has a clock."""
    return len(pair_plan.sources) * (1 + len(checks(pair_plan)) + len(pair_plan.sizes))


def take_build(pair_plan: PairPlan, candidate: VariantRun, future: Future[Build]) -> None:
    """Wait for the candidate's build, and compare its entry with the pair."""
    try:
        candidate.build = future.result()
        source, loaded = candidate.source, pair_plan.loaded
        if source.library:
            return

        def location(number: int) -> str:
            return f"{loaded.path.name}:{PairText.read(loaded.path).line_of_part(('args', number))}"

        args = [*candidate.build.arguments({arg.name: arg for arg in loaded.pair.parameters}).values()]
        check_signature(candidate.build.declaration, source.entry, args, source.path, location)
    except (KernelError, MachineError, ToolMissing) as error:
        candidate.fail(error)
