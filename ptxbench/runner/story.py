"""The story of a run: build every variant, verify it at every check size, then count or time it at its own size.

Whatever is wrong with a kernel costs only its variant. Nothing is printed here: events tell what goes on.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from ptxbench import oracle, roofline, toolchain
from ptxbench.backends.base import Clock
from ptxbench.discovery import Source, shown
from ptxbench.errors import KernelError, LaunchUnavailable, MachineError, ToolMissing
from ptxbench.measure import Measured, measure
from ptxbench.metrics import REFERENCE
from ptxbench.pair import EXACT, Launch, Size
from ptxbench.result import BITS_DIFFER, MODELLED, ORACLE_WEAK, Cell, LaunchReport, Round
from ptxbench.runner import memory
from ptxbench.runner.candidate import Candidate
from ptxbench.runner.events import CellDone, DeviceLost, Event, Step
from ptxbench.runner.evidence import Evidence, with_evidence
from ptxbench.runner.given import Given, at_cell, blaming, errors_of, largest, prepare, tolerance_words, too_large
from ptxbench.runner.machine_code import with_executed
from ptxbench.runner.modelling import model_of
from ptxbench.runner.plan import Job, Plan
from ptxbench.runner.renewal import Renewal
from ptxbench.runner.timed import ClockError, Flight, MarkedClock, TimedClock
from ptxbench.signature import check_signature
from ptxbench.toolchain import Build
from ptxbench.toolchain.locate import INSTALL
from ptxbench.verify import Expected, same_bits, verify

Builds = Mapping[Source, "Future[Build]"]
Result = TypeVar("Result")


def run(plan: Plan) -> Iterator[Event]:
    """Do what `plan` says, one cell after the other."""
    plan = replace(plan, jobs=tuple(job.on(plan.arch) for job in plan.jobs))
    try:
        story = Story(plan)
    except MachineError as error:  # the device does not even say what it is
        yield DeviceLost(str(error))
        return
    # NVRTC and ptxas run outside the interpreter's lock: two cores build the shipped pairs in 4.7 s, one in 8.3 s.
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        builds = {source: pool.submit(build, source, plan) for job in plan.jobs for source in job.sources}
        for job in plan.jobs:
            yield from story.pair(job, builds)
            if reason := story.lost:
                yield DeviceLost(reason, story.suspects)
                return
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def build(source: Source, plan: Plan) -> Build:
    return toolchain.build_source(source, plan.arch, plan.assembler)


class Story:
    """A run on its way: the plan, and how much of it is done."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.backend = plan.backend
        self.device = plan.backend.device()
        self.total = sum(map(steps, plan.jobs))
        self.done = 0
        self.suspects: tuple[str, ...] = ()
        """The variants that may have lost the device."""

    @property
    def lost(self) -> str | None:
        """Why the device can be used no more in this process; None while it can."""
        return getattr(self.backend, "lost", None)

    def fail(
        self,
        candidate: Candidate,
        error: KernelError | MachineError | ToolMissing,
        suspects: tuple[str, ...] | None = None,
    ) -> None:
        """End the candidate; where its kernel lost the device, keep which variants may have done that."""
        if self.lost and not self.suspects and isinstance(error, KernelError):
            self.suspects = suspects or (candidate.source.variant,)
        candidate.fail(error)

    def release(self) -> None:
        """Give back what earlier cells hold of the device's memory, so that no cell depends on them."""
        if not self.lost:
            self.plan.mark("")
            with suppress(MachineError):  # no variant's fault; where the device is lost, it says so
                self.backend.release()

    def step(self, job: Job, candidate: Candidate, phase: str, size: Size | None = None) -> Step:
        self.done += 1
        return Step(self.done - 1, self.total, job.found.name, candidate.source.variant, phase, size, job.knobs)

    def pair(self, job: Job, builds: Builds) -> Iterator[Event]:
        """Everything of one pair."""
        end = self.done + steps(job)
        candidates = [Candidate(source) for source in job.sources]
        for candidate in candidates:
            yield self.step(job, candidate, "build")
            take_build(job, candidate, builds[candidate.source])
            self.require_cubin(candidate)
        for own in (each for each in candidates if each.source.variant == "ptx"):
            for candidate in candidates:
                candidate.excuse(own)
        labels: set[str] = set()
        self.release()
        for size, integers in checks(job):
            if not self.lost and self.any_can_launch(candidates, job.found.pair.launch(**size)):
                repeated = size == largest(job) and not integers
                with self.plan.host_work():
                    data = prepare(job, size, self.plan.seed, integers=integers, repeated=repeated)
                labels |= yield from self.verify(job, candidates, data)
        weak = self.question(job, candidates) if job.oracle_asked else None
        for number, size in enumerate(job.sizes, 1):
            yield CellDone((yield from self.cell(job, candidates, size, labels, weak)), last=number == len(job.sizes))
            if self.lost:
                return
        self.done = end

    def require_cubin(self, candidate: Candidate) -> None:
        """On a GPU, `toolkit` promises that ptxas assembled what is timed; the driver must not step in for it."""
        plan, build = self.plan, candidate.build
        if plan.backend.name == "gpu" and plan.assembler == "toolkit" and build and not (build.cubin or build.library):
            candidate.fail(ToolMissing(f"ptxas is not there: {INSTALL}; or use --assembler driver."))

    def any_can_launch(self, candidates: Sequence[Candidate], launch: Launch) -> bool:
        """Whether a candidate is left for such a launch; one that the backend cannot launch is out with the reason."""
        for candidate in candidates:
            if candidate.alive and candidate.build and not self.lost:
                try:
                    self.backend.require(candidate.build, launch)
                except (KernelError, MachineError) as error:
                    self.fail(candidate, error)
        return any(each.alive and each.build for each in candidates)

    def require_memory(self, job: Job, candidates: Sequence[Candidate], size: Size) -> None:
        """Skip the candidates, before any data is made, where the host or the device cannot hold that size."""
        pair = job.found.pair
        if why := memory.device_lacks(pair, size, self.device) or memory.host_lacks(pair, size):
            for candidate in candidates:
                if candidate.alive:
                    candidate.fail(LaunchUnavailable(f"{why} Choose a smaller --size."))

    def question(self, job: Job, candidates: Sequence[Candidate]) -> tuple[str, ...] | None:
        """Which wrong results the pair's oracle would accept at every check size; None where no kernel is right."""
        alive = [each for each in candidates if each.alive and each.build]
        if not alive or self.lost:
            return None
        with self.plan.host_work(), blaming(job, largest(job)):
            found = oracle.weaknesses(job.found.pair, self.plan.seed, errors_of(approximate(alive)))
        return tuple(f"{what} at every check size" for what in found)

    def question_at(self, job: Job, candidates: Sequence[Candidate], given: Given) -> tuple[str, ...]:
        """Which wrong results it would accept at the size of a cell, on the data that are there."""
        alive = [each for each in candidates if each.alive and each.build]
        if not alive or self.lost:
            return ()
        with self.plan.host_work(), blaming(job, given.size):
            expected = given.expected.widened(errors_of(approximate(alive)))
            found = oracle.accepted(job.found.pair, given.size, given.arguments, expected, self.plan.seed)
        return tuple(f"{what} at {given.where}" for what in found)

    def verify(self, job: Job, candidates: Sequence[Candidate], given: Given) -> Generator[Event, None, set[str]]:
        """Run every variant that is alive once on what is `given` and judge what it wrote; the labels that result."""
        pair, size, expected = job.found.pair, given.size, given.expected
        labels: set[str] = set()
        first: Mapping[str, Any] | None = None
        for candidate in candidates:
            if candidate.alive and candidate.build and not self.lost:
                yield self.step(job, candidate, "verify", size)
                try:
                    outcome = self.backend.run(candidate.build, pair.launch(**size), given.arguments, pair.outputs)
                except (KernelError, MachineError) as error:
                    self.fail(candidate, error)
                    continue
                except MemoryError:
                    raise too_large(job, size) from None
                with self.plan.host_work():
                    allowed = expected.widened(errors_of(outcome.approximate))
                    verdict = verify(outcome.outputs, allowed, f"{candidate.label}, {given.where}")
                    candidate.judge(size, verdict, outcome)
                if given.repeated and candidate.alive:
                    self.repeat(job, candidate, given, allowed, outcome.outputs)
                if not candidate.alive:
                    continue
                with self.plan.host_work():
                    candidate.observed = observed(job, size, outcome.outputs)
                    first = first or outcome.outputs
                    if outcome.modelled:
                        labels.add(MODELLED)
                    if expected.tolerance == EXACT.describe and not same_bits(expected.outputs, first, outcome.outputs):
                        labels.add(BITS_DIFFER + candidate.source.variant)
        return labels

    def repeat(self, job: Job, candidate: Candidate, given: Given, allowed: Expected, first: Mapping[str, Any]) -> None:
        """Launch on the same data again, and compare every bit with the `first` outputs; what differs is judged too."""
        pair = job.found.pair
        assert candidate.build is not None
        try:
            for outcome in self.backend.again(
                candidate.build, pair.launch(**given.size), given.arguments, pair.outputs
            ):
                with self.plan.host_work():
                    candidate.deterministic = same_bits(allowed.outputs, first, outcome.outputs)
                if not candidate.deterministic:
                    where = f"{candidate.label}, {given.where}, in another launch"
                    candidate.judge(given.size, verify(outcome.outputs, allowed, where), outcome)
                    return
        except (KernelError, MachineError) as error:
            self.fail(candidate, error)
        except MemoryError:
            raise too_large(job, given.size) from None

    def cell(
        self,
        job: Job,
        candidates: Sequence[Candidate],
        size: Size,
        labels: set[str],
        weak: tuple[str, ...] | None,
    ) -> Generator[Event, None, Cell]:
        """Verify at the cell's own size, and time there what has a clock."""
        pair, plan = job.found.pair, self.plan
        own = [candidate.fork() for candidate in candidates]
        launch = pair.launch(**size)
        measured = Measured()
        self.release()
        self.require_memory(job, own, size)
        if not self.lost and self.any_can_launch(own, launch):
            with plan.host_work():
                data = at_cell(job, size, plan.seed)
            labels = labels | (yield from self.verify(job, own, data))
            if weak is not None:
                weak = (*weak, *self.question_at(job, own, data))
            measured = yield from self.measure(job, own, launch, data)
        if self.lost:
            for candidate in own:
                if candidate.alive:
                    candidate.fail(MachineError(f"The device was lost before its turn: {self.lost}"))
        cell = Cell(
            pair=job.found.name,
            size=dict(size),
            arch=plan.arch,
            launch=LaunchReport(**launch.recorded),
            work=pair.work(size),
            variants=with_executed(
                {
                    candidate.source.variant: candidate.result(
                        launch, f"float64, {shown(job.found.path)}", tolerance_words(pair)
                    )
                    for candidate in own
                },
                # a sweep compares its points by their PTX: each further derivation takes ptxas once more
                {each.source.variant: each.executed(launch) for each in own if not job.knobs},
            ),
            cache=plan.cache,
            labels=sorted(labels | measured.labels | ({ORACLE_WEAK} if weak else set())),
            rounds=measured.rounds,
            oracle=weak,
            limits=roofline.limits(self.device, self.plan.calibration),
            knobs=dict(job.knobs),
        )
        if plan.model:
            cell = replace(cell, model=model_of(cell, own, launch, plan.model))
        return roofline.disproved(cell, self.device)

    def measure(
        self, job: Job, candidates: Sequence[Candidate], launch: Launch, given: Given
    ) -> Generator[Event, None, Measured]:
        """Time the verified variants together, if the reference is verified and the backend has a clock."""
        pair = job.found.pair
        alive = {each.source.variant: each for each in candidates if each.alive and each.build}
        if REFERENCE not in alive or self.lost:
            return Measured()
        clocks, flight = {}, Flight(job.one_at_a_time)
        for name in (REFERENCE, *(each for each in alive if each != REFERENCE)):
            candidate = alive[name]
            assert candidate.build is not None
            self.plan.mark(name)
            try:
                clock = self.backend.clock(
                    candidate.build,
                    launch,
                    given.arguments,
                    pair.outputs,
                    updated=pair.updated,
                    scratch=pair.scratch,
                    cache=self.plan.cache,
                )
                if clock is None:
                    return Measured()
                clocks[name] = TimedClock(name, clock, self.plan.mark, candidate, flight)
            except (KernelError, MachineError) as error:
                self.fail(candidate, error)
                if self.lost or name == REFERENCE:
                    return Measured()
        while len(clocks) > 1:
            yield self.step(job, alive[next(reversed(clocks))], "measure", given.size)
            renewal = Renewal(self.plan, job, given.size, clocks) if self.plan.renewed else None
            evidence = Evidence(clocks, renewal.given if renewal else lambda: given)
            try:
                measured = measure(
                    clocks,
                    reference=REFERENCE,
                    seed=self.plan.seed,
                    round_number=self.plan.round_number,
                    process=self.plan.process,
                    settings=self.plan.settings,
                    watch=self.backend.watch(),
                    floor=self.floor(launch, given),
                    witness=evidence,
                    renewal=renewal,
                )
                with self.plan.host_work():
                    return replace(measured, rounds=self.cross_examine(job, evidence, alive, given, measured.rounds))
            except MachineError as error:  # of the empty kernel: without it no variant has a time here
                for candidate in filter(lambda each: each.alive, alive.values()):
                    self.fail(candidate, error)
                break
            except ClockError as error:  # the others are measured without it, if the device still works
                self.fail(error.candidate, error.cause, error.suspects)
                del clocks[error.candidate.source.variant]
                if self.lost or REFERENCE not in clocks:
                    break
        return Measured()

    def floor(self, launch: Launch, given: Given) -> Clock | None:
        """The clock of the empty kernel."""
        self.plan.mark("")
        clock = self.backend.floor(launch, given.arguments)
        return clock and MarkedClock("", clock, self.plan.mark)

    def cross_examine(
        self, job: Job, evidence: Evidence, alive: Mapping[str, Candidate], given: Given, rounds: Sequence[Round]
    ) -> list[Round]:
        """Judge what the timed samples left. A variant that was wrong then is wrong, and its samples are gone."""
        verdicts = evidence.verdicts(
            {name: errors_of(each.approximate) for name, each in alive.items()},
            {name: each.label for name, each in alive.items()},
        )
        for exhibit, verdict in verdicts:
            if alive[exhibit.variant].alive:
                alive[exhibit.variant].cross_examined(verdict)
        left = {each.variant: observed(job, given.size, each.outputs) for each in evidence.exhibits}
        return [
            replace(one, observed={name: values for name in one.contrast if (values := left.get(name))})
            for one in with_evidence(rounds, verdicts)
        ]


def approximate(candidates: Sequence[Candidate]) -> set[str]:
    """The approximate instructions that any of them executed."""
    return {opcode for each in candidates for opcode in each.approximate}


def observed(job: Job, size: Size, outputs: Mapping[str, Any]) -> Mapping[str, float] | None:
    """What the pair reads of the arrays that a launch left, by name; None of a pair that reads nothing."""
    if job.found.pair.observe is None:
        return None
    with blaming(job, size):
        return {name: float(value) for name, value in job.found.pair.observe(outputs, size).items()}


def checks(job: Job) -> list[tuple[Size, bool]]:
    """The pair's check sizes, each with random data and, where any order of operations is exact, whole numbers."""
    kinds = (False, True) if job.found.pair.exact_on_integers else (False,)
    return [(size, integers) for size in job.found.pair.check_sizes for integers in kinds]


def steps(job: Job) -> int:
    """The pieces of work of a job, if nothing fails and nothing has a clock."""
    return len(job.sources) * (1 + len(checks(job)) + len(job.sizes))


def take_build(job: Job, candidate: Candidate, future: Future[Build]) -> None:
    """Wait for the candidate's build and hold its entry against the pair."""
    try:
        candidate.build = future.result()
        source = candidate.source
        if source.library:
            return
        check_signature(candidate.build.ptx, source.entry, job.found.pair.args, source.path)
    except (KernelError, MachineError, ToolMissing) as error:
        candidate.fail(error)
