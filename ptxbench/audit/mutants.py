"""Kernels edited in a known way: each is built, verified and counted, and judged by the counters gate.

An edit is compared with the original kernel, at the size that `ptxbench run` uses on the emulator. Nothing is kept
except the builds in the cache.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from ptxbench.audit.costs import COSTS
from ptxbench.audit.cuda import CUDA, CudaText
from ptxbench.audit.edits import WORSE, Edit, KernelFigures
from ptxbench.audit.hopper import HOPPER
from ptxbench.audit.kernel import EditedKernel, read_kernel
from ptxbench.audit.neutral import NEUTRAL
from ptxbench.audit.outcome import AuditOutcome, Change
from ptxbench.audit.tables import OF_PAIRS
from ptxbench.backends import open_backend
from ptxbench.discovery import Source, display_path, select
from ptxbench.discovery.specialisation import at_least
from ptxbench.errors import KernelError, ToolMissing, UsageError
from ptxbench.exit_status import ExitStatus
from ptxbench.metrics import REFERENCE
from ptxbench.pair import Launch
from ptxbench.pool import OnReport, Pool, Reporter, SerialPool, ignore
from ptxbench.result import COMPLETE, VERIFIED, Cell, LaunchReport, RunDocument, VariantResult
from ptxbench.runner import PairPlan, RunFrame, RunPlan, document, plan_pairs
from ptxbench.runner.candidate import VariantRun, with_occupancy
from ptxbench.runner.case_data import CaseData, prepare_cell_case, tolerance_words
from ptxbench.runner.machine_code import with_executed
from ptxbench.runner.session import Session, take_build
from ptxbench.toolchain import Build, build_source, builders
from ptxbench.toolchain.locate import INSTALL, program
from ptxbench.toolchain.ptxas import check_ascii
from ptxbench.verdict.config import GateConfig
from ptxbench.verdict.gate import gate

EDITS: Sequence[Edit] = (*WORSE, *OF_PAIRS, *COSTS, *HOPPER, *NEUTRAL, *CUDA)


def count_mutants(
    kernels: Path, names: Sequence[str] = (), edits: Sequence[str] = (), variants: Sequence[str] = ()
) -> int:
    """How many outcomes `audit_mutants` will give. Raises the same errors for names and folders."""
    chosen = choose_edits(edits)
    return sum(
        len(applicable(source, chosen)[1])
        for pair_plan in plans_of(kernels, names, variants)
        for source in edited(pair_plan)
    )


@dataclass(frozen=True)
class FileAudit:
    """The audit of one file, as it can be sent to another process. `edits`: their names."""

    kernels: Path
    pair: str
    variant: str
    edits: tuple[str, ...]
    arch: str | None


def audit_mutants(
    kernels: Path,
    arch: str | None,
    names: Sequence[str] = (),
    edits: Sequence[str] = (),
    variants: Sequence[str] = (),
    pool: Pool | None = None,
    on_report: OnReport = ignore,
) -> Iterator[AuditOutcome]:
    """Apply every possible edit to the files of the pairs, and report the gate's outcome.

    `names`, `edits`, `variants`: names or globs, by default all; `arch`: of the emulator, or what the PTX of a pair
    needs if that is newer; `pool`: audits the files, by default one after the other; `on_report`: gets each outcome of
    a file as soon as it is known. The outcomes are in the order of the files. Raises UsageError for a name without a
    match, PairError, AssembleError and PtxSyntaxError for an unreadable file, ToolMissing without ptxas or nvdisasm.
    """
    for tool in ("ptxas", "nvdisasm"):
        if program(tool) is None:
            raise ToolMissing(
                f"{tool} is not installed: {INSTALL}. Without it a mutant cannot be distinguished from the original."
            )
    chosen = tuple(dict.fromkeys(edit.name for edit in choose_edits(edits)))
    tasks = [
        FileAudit(kernels, pair_plan.loaded.name, source.variant, chosen, arch)
        for pair_plan in plans_of(kernels, names, variants)
        for source in edited(pair_plan)
    ]
    outcomes_by_task: dict[int, list[AuditOutcome]] = {}
    with closing((pool or SerialPool()).map(audit_file, tasks, on_report)) as results:
        for number, outcomes in results:
            outcomes_by_task[number] = outcomes
    for number in range(len(tasks)):
        yield from outcomes_by_task[number]


def audit_file(task: FileAudit, report: Reporter) -> list[AuditOutcome]:
    """The outcome of each edit of one file."""
    (pair_plan,) = plans_of(task.kernels, [task.pair], [task.variant])
    ptx_source = next(source for source in pair_plan.loaded.sources if source.variant == "ptx")
    needed = at_least(task.arch or open_backend("emulator").device().sm, ptx_source.path)
    backend = open_backend("emulator", needed)
    plan = RunPlan(pair_plans=(pair_plan,), backend=backend, arch=needed, kernels=task.kernels)
    empty = document(RunFrame(plan, backend.device()), [], COMPLETE)
    outcomes: list[AuditOutcome] = []
    with tempfile.TemporaryDirectory(prefix="ptxbench-") as folder, Builder(plan, Path(folder)) as builder:
        case = prepare_cell_case(pair_plan, pair_plan.sizes[0], plan.seed)
        (source,) = edited(pair_plan)
        for outcome in EditSubject(pair_plan, source, case, builder, empty).outcomes(
            [edit for edit in EDITS if edit.name in task.edits]
        ):
            outcomes.append(outcome)
            report(outcome)
    return outcomes


def choose_edits(patterns: Sequence[str]) -> list[Edit]:
    """The edits whose names match. Raises UsageError with a suggestion if a pattern matches none."""
    names = select(tuple(dict.fromkeys(edit.name for edit in EDITS)), patterns, "edit")
    return [edit for edit in EDITS if edit.name in names]


def plans_of(kernels: Path, names: Sequence[str], variants: Sequence[str]) -> tuple[PairPlan, ...]:
    return plan_pairs(kernels, names, variants)[0]


def edited(pair_plan: PairPlan) -> list[Source]:
    """Every PTX file of a pair, and its CUDA C compiled without further options."""
    return [
        source
        for source in pair_plan.sources
        if source.language == "ptx" or source.variant == REFERENCE
        if source.variant not in pair_plan.loaded.pair.must_fail
    ]


def applicable(source: Source, edits: Sequence[Edit]) -> tuple[EditedKernel | CudaText, list[Edit]]:
    """The kernel of a file, and the edits that apply to it.

    Raises UsageError, AssembleError for PTX that is not ASCII, PtxSyntaxError.
    """
    if source.language == "cuda":
        cuda = CudaText(read_text(source), source.entry)
        return cuda, [edit for edit in edits if edit in CUDA and edit.applies(cuda)]
    try:
        text = check_ascii(source.path.read_bytes(), str(display_path(source.path)))
    except OSError as error:
        raise UsageError(f"Cannot read {display_path(source.path)}: {error.strerror}.") from None
    try:
        kernel = read_kernel(text, source.entry)
    except KernelError as error:
        raise type(error)(f"{source.path.name}: {error}") from None
    return kernel, [edit for edit in edits if edit not in CUDA and edit.applies(kernel)]


def read_text(source: Source) -> str:
    try:
        return source.path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"Cannot read {display_path(source.path)}: {error.strerror}.") from None


@dataclass
class Builder:
    """Builds texts for one plan, as files in its own folder."""

    plan: RunPlan
    folder: Path
    pool: ThreadPoolExecutor = field(default_factory=builders)
    count: int = 0

    def __enter__(self) -> Builder:
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def begin(self, source: Source, text: str) -> tuple[Source, Future[Build]]:
        """The file with another text, and its build, which was started."""
        self.count += 1
        path = self.folder / str(self.count) / source.path.name
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        mutant = dataclasses.replace(source, path=path, specialisations=())
        return mutant, self.pool.submit(build_source, mutant, self.plan.arch)


@dataclass
class EditSubject:
    """A file under audit, and the data for its runs."""

    pair_plan: PairPlan
    source: Source
    case: CaseData
    builder: Builder
    empty: RunDocument
    """A run of these tools, without cells."""
    original: VariantRun | None = None
    """The original file."""

    def outcomes(self, edits: Sequence[Edit]) -> Iterator[AuditOutcome]:
        """One outcome for each edit that applies, in order."""
        kernel, chosen = applicable(self.source, edits)
        self.original = self.built(*self.builder.begin(self.source, kernel.text))
        before = self.verified(self.original)
        if before.status != VERIFIED or before.build is None:
            why = f"the original kernel is {before.status}: {before.reason}"
            yield from (self.outcome(edit, skipped=why) for edit in chosen)
            return
        kernel_figures = self.kernel_figures(before)
        texts_of_edits = [edit.texts(kernel, kernel_figures) for edit in chosen]
        # The first texts of all edits are built at once; most edits have no other.
        first = [
            self.builder.begin(self.source, text) if (text := next(texts, None)) else None for texts in texts_of_edits
        ]
        for edit, texts, first_build in zip(chosen, texts_of_edits, first, strict=True):
            yield self.tried(edit, texts, first_build, before)

    def tried(
        self, edit: Edit, texts: Iterator[str], started: tuple[Source, Future[Build]] | None, before: VariantResult
    ) -> AuditOutcome:
        """The gate's outcome for the mildest text of an edit that shows in the machine code."""
        while started:
            candidate = self.built(*started)
            report = with_occupancy(candidate.build, self.launch) if candidate.build else None
            if report is None or before.build is None or edit.shows(before.build, report):
                return self.judged(edit, before, candidate)
            text = next(texts, None)
            started = self.builder.begin(self.source, text) if text else None
        return self.outcome(edit, skipped=edit.undone)

    def judged(self, edit: Edit, before: VariantResult, candidate: VariantRun) -> AuditOutcome:
        """What the gate says about the edited kernel, with the original as the baseline."""
        after = self.verified(candidate)
        judgement = gate(self.run(after), self.run(before), GateConfig(modes=("counters",)))
        passed = judgement.exit_status == ExitStatus.GOOD
        if passed and after.build and before.build and after.build.sass_sha256 != before.build.sass_sha256:
            # Only if nothing else shows the edit, because each derivation runs ptxas again.
            derived = [self.derived(run, result) for run, result in ((candidate, after), (self.original, before))]
            judgement = gate(self.run(derived[0]), self.run(derived[1]), GateConfig(modes=("counters",)))
        failing = {
            judged.row.metric: Change(judged.row.metric, judged.row.base, judged.row.head)
            for judged in judgement.failing
        }
        return dataclasses.replace(
            self.outcome(edit),
            failing=sorted(failing),
            exit_status=judgement.exit_status,
            changes=[failing[metric] for metric in sorted(failing)],
            reason=after.reason,
        )

    def outcome(self, edit: Edit, *, skipped: str | None = None) -> AuditOutcome:
        return AuditOutcome(
            self.pair_plan.loaded.name, edit.name, edit.expected, skipped=skipped, variant=self.source.variant
        )

    @property
    def launch(self) -> Launch:
        return self.pair_plan.loaded.pair.launch_of(self.source.variant)(**self.case.size)

    def built(self, source: Source, build: Future[Build]) -> VariantRun:
        candidate = VariantRun(source)
        take_build(self.pair_plan, candidate, build)
        return candidate

    def verified(self, candidate: VariantRun) -> VariantResult:
        """The result of the candidate, run once if it was built, and compared with the reference."""
        for _ in Session(self.builder.plan).verify(self.pair_plan, [candidate], self.case):
            pass
        return candidate.result(self.launch, "float64", tolerance_words(self.pair_plan.loaded.pair))

    def derived(self, candidate: VariantRun | None, result: VariantResult) -> VariantResult:
        """The result with the machine instructions that its launch executed."""
        variant = self.source.variant
        executed = candidate.executed(self.launch) if candidate else None
        return with_executed({variant: result}, {variant: executed})[variant]

    def kernel_figures(self, before: VariantResult) -> KernelFigures:
        counts, build = before.counts or {}, before.build
        return KernelFigures(
            registers=(build and build.registers) or 0,
            shared_bytes=(build and build.shared_bytes) or 0,
            instructions=counts.get("ptx_warp_instructions", 0.0) / self.launch.warps,
        )

    def run(self, result: VariantResult) -> RunDocument:
        """A run with only this result."""
        pair, launch = self.pair_plan.loaded.pair, self.launch
        cell = Cell(
            pair=self.pair_plan.loaded.name,
            size=dict(self.case.size),
            arch=self.builder.plan.arch,
            launch=LaunchReport(**launch.recorded),
            work=pair.work(self.case.size),
            variants={self.source.variant: result},
        )
        return dataclasses.replace(self.empty, cells=[cell])
