"""What `ptxbench exec` does with a file: its kernel is launched once on the emulator, which gives an outcome."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench import emulator, kernel_names
from ptxbench.arguments import BoundArguments, ElementType, Parsed, make
from ptxbench.discovery import BY_SUFFIX
from ptxbench.emulator.findings import SanitizerFinding
from ptxbench.emulator.syntax import Function
from ptxbench.errors import KernelError, LaunchError, PtxbenchError, UnsupportedInstruction, UsageError
from ptxbench.exec_program import ExecProgram, read_program
from ptxbench.executed import Counted, Executed, of_build
from ptxbench.exit_status import ExitStatus
from ptxbench.launch_notes import constant_notes, grid_notes, legality_notes, model_notes, type_notes
from ptxbench.toolchain.options import AS_IT_IS, SourceOptions

CLEAN, FINDING, FAULT, UNSUPPORTED = "clean", "finding", "fault", "unsupported"
EXIT_STATUSES = {
    CLEAN: ExitStatus.GOOD,
    FINDING: ExitStatus.WRONG_KERNEL,
    FAULT: ExitStatus.WRONG_KERNEL,
    UNSUPPORTED: ExitStatus.NO_VERDICT,
}
DEFAULT_BLOCK = 32
FIRST_VALUES = 8


@dataclass(frozen=True)
class ExecLaunch:
    """How to launch; `block` None: the block that the kernel requires (.reqntid), else DEFAULT_BLOCK threads."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int] | None
    shared_bytes: int = 0
    sanitize: bool = False
    threads: int | None = None
    fuel: int | None = None
    seed: int = 1
    cluster: tuple[int, int, int] | None = None
    """None: the clusters that the kernel requires (.reqnctapercluster), else none."""

    def block_of(self, function: Function) -> tuple[int, int, int]:
        x, y, z = self.block or (*function.directives.get(".reqntid", (DEFAULT_BLOCK,)), 1, 1)[:3]
        return x, y, z

    def warps(self, function: Function) -> int:
        """The warps of the launch."""
        return math.prod(self.grid) * -(-math.prod(self.block_of(function)) // 32)


@dataclass(frozen=True)
class Output:
    """The content of one array after a launch: `array`, whose elements have the type `type`."""

    index: int
    name: str
    type: ElementType
    array: NDArray[Any]
    changed: bool

    def summary(self) -> dict[str, Any]:
        """min, max and mean of the numbers that are not NaN, how many are NaN, and the first values.

        None if there is no such number.
        """
        elements = self.type.show(self.array).reshape(-1)
        numeric = elements.dtype.kind in "fiu"
        nan = int(np.isnan(elements).sum()) if elements.dtype.kind == "f" else 0
        numbers = elements[~np.isnan(elements)] if nan else elements
        has_numbers = numeric and numbers.size > 0
        with np.errstate(over="ignore", invalid="ignore"):  # inf and -inf have no mean, which is shown as nan
            mean = float(numbers.mean(dtype=np.float64)) if has_numbers else None
        return {
            "min": numbers.min().item() if has_numbers else None,
            "max": numbers.max().item() if has_numbers else None,
            "mean": mean,
            "nan": nan,
            "first": elements[:FIRST_VALUES].tolist(),
        }


@dataclass(frozen=True)
class ExecOutcome:
    """One launch: its status, its counts, its arrays, and what was wrong.

    `error` is None unless the kernel was stopped or could not run; `counters`, `by_line` and `arrays` are then empty.
    `findings` are the sanitizer's: each has `line`, `kind` and `message`.
    """

    program: ExecProgram
    function: Function
    launch: ExecLaunch
    bound: tuple[BoundArguments, ...]
    status: str
    error: KernelError | None = None
    error_line: int | None = None
    """The line of the PTX at which a fault occurred."""
    arrays: tuple[Output, ...] = ()
    counters: Mapping[str, float] = field(default_factory=dict)
    by_line: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    findings: tuple[SanitizerFinding, ...] = ()
    printed: str = ""
    order: str = ""
    notes: tuple[str, ...] = ()
    """What the reader must know to interpret the result: checks that were not made, arithmetic that is a model."""
    unchecked: tuple[str, ...] = ()
    """The notes about checks that were not made."""
    order_reason: str = ""
    """Why the result may depend on the order of the CTAs, which then ran by rank."""
    loops: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    """The trips of warps in each loop and how often each number occurred, by the line of its backward branch."""
    executed: Executed | None = None
    """The machine instructions that warps executed; None if it was not derived."""

    @property
    def block(self) -> tuple[int, int, int]:
        return self.launch.block_of(self.function)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The arrays that the kernel changed."""
        return tuple(output for output in self.arrays if output.changed)


def execute(
    program: ExecProgram,
    function: Function,
    arguments: Sequence[Parsed],
    launch: ExecLaunch,
    *,
    like: Sequence[BoundArguments] = (),
) -> ExecOutcome:
    """Launch once, unless ptxas refuses the PTX. `like`: the arguments as another
    kernel has them, so that both get the same data.

    Raises UsageError for arguments or a launch that do not fit.
    """
    bound = program.bind(function, arguments)
    if program.legality.refusal:
        return ExecOutcome(program, function, launch, bound, FAULT, program.legality.refusal)
    values = make(bound, launch.seed, like)
    before = [argument.array.copy() for argument in values.arrays]
    names = [parameter.param.name if parameter.name.startswith("#") else parameter.name for parameter in bound]
    try:
        execution = emulator.run(
            program.ptx,
            function.name,
            grid=launch.grid,
            block=launch.block_of(function),
            args=values.args,
            names=names,
            dynamic_shared_bytes=launch.shared_bytes,
            cluster=launch.cluster,
            arch=program.arch,
            sanitize=launch.sanitize,
            threads=launch.threads,
            fuel=launch.fuel,
        )
    except LaunchError as error:
        of_params = {parameter.param.name: name for parameter, name in zip(bound, names, strict=True)}
        words = of_params | {function.name: kernel_names.short(function.name)}
        raise UsageError(labelled(str(error), words)) from None
    except KernelError as error:
        return stopped(program, function, launch, bound, error)
    arrays = tuple(
        Output(output.index, output.name, output.type, output.array, bytes_of(output.array) != bytes_of(earlier))
        for output, earlier in zip(values.arrays, before, strict=True)
    )
    return ExecOutcome(
        program=program,
        function=function,
        launch=launch,
        bound=bound,
        status=FINDING if execution.findings else CLEAN,
        arrays=arrays,
        counters=execution.counters,
        by_line=execution.by_line,
        findings=tuple(replace(finding, message=program.in_file(with_line(finding))) for finding in execution.findings),
        printed=execution.printed,
        order=execution.order,
        notes=(
            *legality_notes(program.legality),
            *(program.in_file(note) for note in execution.notes),
            *model_notes(execution.models, program.arch),
            *constant_notes(program.module, function, program.text),
            *grid_notes(program.module, function),
            *type_notes(bound),
        ),
        unchecked=(*legality_notes(program.legality), *(program.in_file(note) for note in execution.unchecked)),
        order_reason=program.in_file(execution.order_reason),
        loops=execution.loops,
    )


def status_of(error: KernelError) -> str:
    """The status of a kernel that was stopped, or whose file cannot be read."""
    return UNSUPPORTED if isinstance(error, UnsupportedInstruction) else FAULT


def stopped(
    program: ExecProgram, function: Function, launch: ExecLaunch, bound: tuple[BoundArguments, ...], error: KernelError
) -> ExecOutcome:
    """The outcome of a launch that ended with an error."""
    error = program.unless_accepted(error)
    line = re.match(r"line (\d+): ", str(error))
    unchecked = tuple(legality_notes(program.legality))
    return ExecOutcome(
        program,
        function,
        launch,
        bound,
        status_of(error),
        type(error)(program.locate(str(error))),
        error_line=int(line[1]) if line else None,
        notes=(*unchecked, *constant_notes(program.module, function, program.text), *type_notes(bound)),
        unchecked=unchecked,
    )


def with_executed(outcome: ExecOutcome) -> ExecOutcome:
    """The outcome with the machine instructions that warps executed, if the kernel ran to its end."""
    if outcome.error is not None:
        return outcome
    return replace(outcome, executed=derived(outcome.program, outcome.function.name, counted_of(outcome)))


def derived(program: ExecProgram, entry: str, counted: Counted) -> Executed:
    """What the counts of a launch imply for the machine code that ptxas makes of the program."""
    try:
        build = program.build(entry)
    except PtxbenchError as error:
        return Executed(reason=str(error).rstrip("."))
    if build.ptx != program.ptx:
        return Executed(reason="the PTX is not the one that was launched")
    if build.cubin is None:
        return Executed(reason="ptxas is not installed")
    return of_build(build, counted)


def counted_of(outcome: ExecOutcome) -> Counted:
    """The counts of a launch that ran to its end."""
    return Counted(outcome.by_line, outcome.launch.warps(outcome.function), outcome.loops)


def bytes_of(array: NDArray[Any]) -> memoryview:
    """The bytes of an array, for a comparison without a copy."""
    return array.reshape(-1).view(np.uint8).data


def with_line(finding: SanitizerFinding) -> str:
    """The message of a finding, which begins with its line if it has one."""
    is_complete = re.match(r"line \d", finding.message) or not finding.line
    return finding.message if is_complete else f"line {finding.line}: {finding.message}"


def labelled(message: str, names: Mapping[str, str]) -> str:
    """`message` with other names of the parameters. `names`: these, by the parameters' names in the PTX."""
    for param, name in names.items():
        message = re.sub(rf"'{re.escape(param)}(?=['.\[])", f"'{name}", message)
    return message


@dataclass(frozen=True)
class SkippedKernel:
    """A kernel of a folder that was not launched, and why."""

    path: Path
    entry: str | None
    reason: str
    status: str | None = None
    """FAULT if its file is broken, UNSUPPORTED if the emulator cannot read it, None if the arguments do not fit."""
    error: KernelError | None = None
    """What is wrong with the file."""


def execute_folder(
    folder: Path,
    arch: str | None,
    options: SourceOptions,
    arguments: Sequence[Parsed],
    launch: ExecLaunch,
    started: Callable[[int, int, Path], None] = lambda number, count, path: None,
) -> tuple[list[ExecOutcome], list[SkippedKernel]]:
    """Launch each kernel in the folder's .ptx and .cu files that takes these arguments.

    `started` is called with each file, its number from 0 on, and how many files there are.

    Raises UsageError if there is no such file, ToolMissing for a .cu without NVRTC.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in BY_SUFFIX)
    if not files:
        raise UsageError(f"{folder} has neither .ptx nor .cu files.")
    outcomes, skipped = [], []
    for number, path in enumerate(files):
        started(number, len(files), path)
        try:
            program = read_program(path, arch, options if path.suffix == ".cu" else AS_IT_IS)
            all_entries = [] if options.entry else list(program.module.entries.values())
            functions = all_entries or [program.choose(options.entry)]
        except KernelError as error:
            skipped.append(SkippedKernel(path, None, str(error), status_of(error), error))
            continue
        except UsageError as error:
            skipped.append(SkippedKernel(path, None, str(error)))
            continue
        for function in functions:
            try:
                outcomes.append(execute(program, function, arguments, launch))
            except UsageError as error:
                skipped.append(SkippedKernel(path, function.name, str(error)))
    return outcomes, skipped


def exit_status(outcomes: Sequence[ExecOutcome], skipped: Sequence[SkippedKernel]) -> ExitStatus:
    """The most severe: 4 for a fault or finding, 5 for an unsupported instruction, 2 if nothing was launched."""
    statuses = {*(outcome.status for outcome in outcomes), *(kernel.status for kernel in skipped)}
    for status in (FAULT, FINDING, UNSUPPORTED):
        if status in statuses:
            return EXIT_STATUSES[status]
    return ExitStatus.GOOD if outcomes else ExitStatus.USAGE
