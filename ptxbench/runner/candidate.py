"""One variant during a run: what is known about it so far, and its result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from ptxbench import executed
from ptxbench.backends.base import LaunchOutcome
from ptxbench.discovery import Source, display_path
from ptxbench.errors import (
    AssembleError,
    CompileError,
    KernelError,
    MachineError,
    PtxSyntaxError,
    TargetMismatch,
    ToolMissing,
    UnsupportedInstruction,
    WrongResult,
)
from ptxbench.languages import is_compiled
from ptxbench.listing import text
from ptxbench.pair import Launch, Pair, Size
from ptxbench.result import (
    BROKEN,
    MUST_FAIL,
    SKIPPED,
    UNSUPPORTED,
    VERIFIED,
    WRONG,
    BuildReport,
    CheckReport,
    LaunchReport,
    VariantResult,
)
from ptxbench.runner import hotspots
from ptxbench.toolchain import Build, launch_occupancy
from ptxbench.toolchain.origins import origins
from ptxbench.verify import Verdict, wider

STATUSES: tuple[tuple[type[Exception], str], ...] = (
    (ToolMissing, SKIPPED),
    (MachineError, SKIPPED),
    (TargetMismatch, SKIPPED),
    (UnsupportedInstruction, UNSUPPORTED),
    (WrongResult, WRONG),
    (KernelError, BROKEN),
)
"""The status that an error gives to a variant; the first that matches."""


@dataclass
class VariantRun:
    """A variant, active until something fails. `sizes`, `max_error` and `worst` are of its verification."""

    source: Source
    must_fail: bool = False
    """Whether the pair says that its result is wrong."""
    build: Build | None = None
    status: str = VERIFIED
    reason: str | None = None
    sizes: list[Size] = field(default_factory=list)
    max_error: float | None = 0.0
    worst: str | None = None
    deterministic: bool | None = None
    counts: Mapping[str, float] | None = None
    observed: Mapping[str, float] | None = None
    opcodes: Mapping[int, Mapping[str, int]] | None = None
    by_line: Mapping[int, Mapping[str, float]] | None = None
    loops: Mapping[int, Mapping[int, int]] | None = None
    wide_wavefronts: Mapping[int, Mapping[int, int]] | None = None
    approximate: frozenset[str] = frozenset()
    error: Exception | None = None

    @property
    def alive(self) -> bool:
        return self.status == VERIFIED

    @property
    def label(self) -> str:
        """The variant in a message: its file, with its name if several variants share the file."""
        name = self.source.path.name
        return f"{name} ({self.source.variant})" if "@" in self.source.variant or self.source.library else name

    def launch(self, pair: Pair, size: Size) -> Launch:
        """How it is launched at that size."""
        launch = self.source.launch or pair.launch_of(self.source.variant)(**size)
        return self.build.launched(launch) if self.build else launch

    def fail(self, error: KernelError | MachineError | ToolMissing) -> None:
        """End this variant with an error.

        The error is kept without its traceback, whose frames would hold the buffers of the failed launch.
        """
        self.status = next(status for kind, status in STATUSES if isinstance(error, kind))
        if self.build and isinstance(error, PtxSyntaxError):  # ptxas has accepted what the emulator cannot read
            self.status = UNSUPPORTED
        error.__cause__ = error.__context__ = None
        self.reason, self.error = str(error), error.with_traceback(None)
        self.counts = self.observed = self.opcodes = None
        if isinstance(error, PtxSyntaxError | UnsupportedInstruction) and self.source.path.name not in self.reason:
            self.reason = f"{self.label}: {self.reason}"  # these errors name lines, but no files

    def skip_for_target(self, own_ptx: VariantRun) -> None:
        """Skip CUDA C that does not compile if `own_ptx`, the pair's own PTX, needs another target: it is not
        broken."""
        if isinstance(self.error, CompileError | AssembleError) and isinstance(own_ptx.error, TargetMismatch):
            self.status, self.reason = SKIPPED, f"{self.label}: not for this target, as {own_ptx.error}"

    def add_verdict(self, size: Size, verdict: Verdict, outcome: LaunchOutcome) -> None:
        """Add the verdict at one size, with its counts. A wrong result has no counts."""
        if size not in self.sizes:
            self.sizes.append(size)
        is_known = self.max_error is not None and verdict.max_error is not None
        self.max_error = max(self.max_error or 0.0, verdict.max_error or 0.0) if is_known else None
        self.counts, self.opcodes, self.by_line = outcome.counts, outcome.opcodes, outcome.by_line
        self.loops, self.wide_wavefronts = outcome.loops, outcome.wide_wavefronts
        self.approximate |= set(outcome.approximate)
        if verdict.worst:
            self.counts = self.opcodes = None
            self.status, self.reason, self.worst = MUST_FAIL if self.must_fail else WRONG, verdict.worst, verdict.worst

    def require_failure(self) -> None:
        """After all check sizes: a variant that must be wrong, and was right at each of them, is broken."""
        if self.must_fail and self.alive and self.sizes:
            self.status, self.counts, self.opcodes = BROKEN, None, None
            self.reason = (
                f"{self.label}: its results are right at all check sizes, but the pair lists it in must_fail. "
                "Take it off that list, or add a check size that shows the error."
            )

    def add_timed_verdict(self, verdict: Verdict) -> None:
        """Add the verdict on the outputs of a timed sample."""
        is_known = self.max_error is not None and verdict.max_error is not None
        self.max_error = max(self.max_error or 0.0, verdict.max_error or 0.0) if is_known else None
        if verdict.worst:
            self.status, self.reason, self.worst = WRONG, verdict.worst, verdict.worst

    def fork(self) -> VariantRun:
        """A copy for one cell: what happens there does not affect the next cell."""
        return dataclasses.replace(self, sizes=list(self.sizes), observed=None)

    def result(
        self, launch: Launch, reference: str, tolerance: str, cell_launch: Launch | None = None
    ) -> VariantResult:
        """The entry of this variant in the run document, for its launch in a cell with the launch `cell_launch`."""
        check = None
        if self.sizes:
            allowed = wider(tolerance, sorted(self.approximate))
            check = CheckReport(reference, allowed, self.sizes, self.max_error, self.worst, self.deterministic)
        report = with_occupancy(self.build, launch) if self.build and not self.build.library else None
        path = display_path(self.source.path)
        return VariantResult(
            self.source.language,
            self.status,
            self.reason,
            report,
            check,
            self.counts,
            self.observed,
            opcodes=None if self.opcodes is None else hotspots.summed(self.opcodes),
            hot_lines=self.hot_lines(),
            file=None if path.is_absolute() or self.source.library else path.as_posix(),
            launch=None if cell_launch in (None, launch) else LaunchReport(**launch.recorded),
        )

    def executed(self, launch: Launch) -> executed.Executed | None:
        """The machine instructions that the last launch executed; None without counts, or without machine code."""
        if self.opcodes is None or self.by_line is None or self.build is None or not self.build.report.opcodes:
            return None
        return executed.of_build(self.build, executed.Counted(self.by_line, launch.warps, self.loops or {}))

    def hot_lines(self) -> Mapping[str, int] | None:
        """The line of the source that has most of each count."""
        if self.opcodes is None or self.by_line is None or self.build is None:
            return None
        lines = text.lines_of(self.build.ptx.encode())
        origin = origins(lines, self.build.source.name) if is_compiled(self.build.language) else None
        return hotspots.hot_lines(self.by_line, self.opcodes, origin)


def with_occupancy(build: Build, launch: Launch) -> BuildReport:
    """The build's report, with the theoretical occupancy of `launch` if the registers are known."""
    share = launch_occupancy(build.arch, launch, build.report)
    return build.report if share is None else dataclasses.replace(build.report, occupancy=share)
