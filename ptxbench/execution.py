"""The steps of `ptxbench exec`: a file to PTX, its kernel launched once on the emulator, and the outcome.

The file is data: only its kernel is executed, on the emulator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench import architecture, emulator, kernel_names, toolchain
from ptxbench.arguments import BoundArguments, ElementType, Parsed, bind, make
from ptxbench.backends import DEFAULT_ARCH
from ptxbench.discovery import BY_SUFFIX
from ptxbench.discovery.other_files import missing_file, not_a_kernel
from ptxbench.documents import read_bytes
from ptxbench.emulator import parse as ptx_parser
from ptxbench.emulator.findings import SanitizerFinding
from ptxbench.emulator.syntax import Function, Module
from ptxbench.errors import KernelError, LaunchError, PtxbenchError, UnsupportedInstruction, UsageError, suggestion
from ptxbench.executed import Counted, Executed, of_build
from ptxbench.exit_status import ExitStatus
from ptxbench.launch_notes import constant_notes, grid_notes, legality_notes, model_notes, type_notes
from ptxbench.toolchain import Build, legality, parameters, ptxas
from ptxbench.toolchain.encoding import encoding_problem
from ptxbench.toolchain.kernel_templates import KernelTemplate, kernel_templates, missing_instantiation
from ptxbench.toolchain.legality import Legality
from ptxbench.toolchain.options import AS_IT_IS, SourceOptions, include_folders
from ptxbench.toolchain.origins import in_file, places
from ptxbench.toolchain.parameters import CudaParameter

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
class ExecProgram:
    """A file with kernels, as PTX; `arch` is the architecture that it is executed as."""

    path: Path
    language: str
    arch: str
    ptx: str
    flags: tuple[str, ...] = ()
    """Options of its compilation, as `toolchain.compiled` takes them."""
    instantiated: str | None = None
    """The PTX's name of the kernel that these options instantiate."""
    compiler: str = ""
    """How CUDA C was compiled if not by NVRTC as it is (`CompilerOutput.how`)."""

    @cached_property
    def module(self) -> Module:
        """The PTX, parsed. Raises PtxSyntaxError that names the file."""
        with located(self):
            return ptx_parser.parse(self.ptx)

    def build(self, entry: str) -> Build:
        """The kernel `entry`, built to machine code. Raises the errors of `toolchain.build`."""
        return toolchain.build(
            self.path, language=self.language, variant=self.language, entry=entry, arch=self.arch, flags=self.flags
        )

    @cached_property
    def legality(self) -> Legality:
        """The messages of ptxas about the PTX."""
        return legality.check(self.ptx, self.path, self.language, self.arch)

    @cached_property
    def text(self) -> list[str]:
        """The lines of the PTX, counted from 1."""
        return ["", *self.ptx.splitlines()]

    @cached_property
    def places(self) -> dict[int, tuple[str, int]] | None:
        """The file of CUDA C, and its line, for each line of the PTX that was made from it; None for a .ptx file."""
        return places(self.text[1:], self.path.name) if self.language == "cuda" else None

    @cached_property
    def cuda_lines(self) -> dict[int, int]:
        """The line of this file for each line of the PTX that was made from it."""
        return {line: place[1] for line, place in (self.places or {}).items() if place[0] == self.path.name}

    @cached_property
    def parameters(self) -> Mapping[str, tuple[CudaParameter, ...]]:
        """The parameters of each kernel as CUDA C declares them, if its compiler's debugging information says so."""
        if self.language == "ptx":
            return parameters.of_ptx(self.ptx)
        return parameters.of_source(self.path.read_bytes(), self.path, self.arch, self.flags)

    def choose(self, name: str | None) -> Function:
        """The entry that `name` means (`kernel_names.matching`); without a name the only entry. Raises UsageError."""
        entries = self.module.entries
        words = kernel_names.displayed(entries)
        if not entries:
            raise UsageError(f"{self.path.name} has no kernel: no .visible .entry{self.no_kernel_reason}.")
        if name is None:
            if len(entries) > 1:
                names = kernel_names.some(words.values())
                raise UsageError(f"{self.path.name} has {len(entries)} kernels: {names}. Name one with --entry.")
            return next(iter(entries.values()))
        matches = [self.instantiated] if self.instantiated else kernel_names.matching(name, entries)
        if len(matches) == 1:
            return entries[matches[0]]
        if matches:
            names = kernel_names.some(words[match] for match in matches)
            raise UsageError(f"{self.path.name} has several kernels '{name}': {names}. Name one of these.")
        template = next(
            (candidate for candidate in self.templates if name in (candidate.name, candidate.name.split("::")[-1])),
            None,
        )
        if template:
            raise UsageError(
                f"{self.path.name}: '{name}' is a template without an instantiation. Name one, such as --entry "
                f"'{template.example}'."
            )
        hint = suggestion(name, list(words.values())) or f" It has {kernel_names.some(words.values())}."
        raise UsageError(f"{self.path.name} has no kernel '{name}'.{hint}")

    @property
    def no_kernel_reason(self) -> str:
        """Why CUDA C may contain no kernel: templates without an instantiation, with an example of --entry."""
        if self.templates:
            return f"; {missing_instantiation(self.templates)}"
        return "; it defines no __global__ function" if self.language == "cuda" else ""

    @cached_property
    def templates(self) -> list[KernelTemplate]:
        """The templates of kernels in CUDA C."""
        if self.language == "ptx":
            return []
        return kernel_templates(self.path.read_bytes(), self.path.parent, include_folders(self.flags))

    def bind(self, function: Function, arguments: Sequence[Parsed]) -> tuple[BoundArguments, ...]:
        """Each parameter of its kernel with its argument. Raises UsageError."""
        return bind(function, arguments, self.declared(function))

    def declared(self, function: Function) -> tuple[CudaParameter, ...] | None:
        """The parameters of a kernel as CUDA C declares them; None if that is not known."""
        parameters = self.parameters.get(function.name)
        return parameters if parameters is not None and len(parameters) == len(function.params) else None

    def locate(self, message: str) -> str:
        """`message` with `in_file` lines; with the file's name in front if it names no line."""
        located = self.in_file(message)
        return located if located != message else f"{self.path.name}: {message}"

    def in_file(self, message: str) -> str:
        """`message` with lines of the file for those of the PTX (`origins.in_file`)."""
        return in_file(message, self.path.name, self.places)


@contextmanager
def located(program: ExecProgram) -> Iterator[None]:
    """Replaces the PTX's line in errors of a kernel by the program's file and line.

    Not in a LaunchError: that is an error of the command line, which names no line.
    """
    try:
        yield
    except LaunchError:
        raise
    except KernelError as error:
        raise type(error)(program.locate(str(error))) from None


def read_program(path: Path, arch: str | None, options: SourceOptions = AS_IT_IS) -> ExecProgram:
    """The PTX of a file: the text of a .ptx file, or the compiler's result for a .cu file with `options`.

    Raises UsageError for a file that cannot be read or is neither, CompileError, AssembleError, ToolMissing.
    """
    if not path.exists():
        raise UsageError(missing_file(path))
    if arch:
        architecture.require(arch)
    language = BY_SUFFIX.get(path.suffix)
    if language is None:
        raise UsageError(not_a_kernel(str(path), path))
    content = read_bytes(path, UsageError)
    if language == "cuda":
        arch = arch or DEFAULT_ARCH  # PTX names its own target
        flags = options.flags_for(content, path.parent)
        translation = toolchain.compiled(content, path, arch, flags)
        return ExecProgram(path, language, arch, translation.ptx, flags, translation.instantiated, translation.how)
    if option := options.first_cuda_option:
        raise UsageError(f"{path.name} is PTX, and {option} is for CUDA C. Leave it out.")
    before_nul = content if encoding_problem(content) else content.partition(b"\0")[0]  # the driver reads no more
    text = ptxas.check_ascii(before_nul, path.name)
    target = re.search(rf"^\s*\.target\s+({architecture.PATTERN})", text, re.M)
    return ExecProgram(path, language, arch or (target[1] if target else DEFAULT_ARCH), text)


def read_to_build(path: Path, arch: str | None, options: SourceOptions = AS_IT_IS) -> ExecProgram:
    """`read_program`, by default for the next target that ptxas knows if it has dropped the .target of PTX."""
    program = read_program(path, arch, options)
    return (
        program
        if arch or program.language == "cuda"
        else replace(program, arch=legality.known_target(program.ptx, program.arch))
    )


# ---- a launch and its outcome


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
    try:
        execution = emulator.run(
            program.ptx,
            function.name,
            grid=launch.grid,
            block=launch.block_of(function),
            args=values.args,
            names=[parameter.param.name if parameter.name.startswith("#") else parameter.name for parameter in bound],
            dynamic_shared_bytes=launch.shared_bytes,
            cluster=launch.cluster,
            arch=program.arch,
            sanitize=launch.sanitize,
            threads=launch.threads,
            fuel=launch.fuel,
        )
    except LaunchError as error:
        raise UsageError(labelled(str(error), {function.name: kernel_names.short(function.name)})) from None
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


def stopped(
    program: ExecProgram, function: Function, launch: ExecLaunch, bound: tuple[BoundArguments, ...], error: KernelError
) -> ExecOutcome:
    """The outcome of a launch that ended with an error."""
    line = re.match(r"line (\d+): ", str(error))
    unchecked = tuple(legality_notes(program.legality))
    return ExecOutcome(
        program,
        function,
        launch,
        bound,
        UNSUPPORTED if isinstance(error, UnsupportedInstruction) else FAULT,
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
    """FAULT if its file is broken, None if the arguments do not fit."""
    error: KernelError | None = None
    """What is wrong with a broken file."""


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
            skipped.append(SkippedKernel(path, None, str(error), FAULT, error))
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
