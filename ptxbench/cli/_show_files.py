"""`ptxbench show` of files that need not belong to a pair: one kernel, or two next to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ptxbench.errors import UsageError
from ptxbench.exit_status import ExitStatus

if TYPE_CHECKING:
    from ptxbench.arguments import Parsed
    from ptxbench.backends.base import Backend
    from ptxbench.emulator.syntax import Function
    from ptxbench.exec_program import ExecProgram
    from ptxbench.executed import Counted
    from ptxbench.execution import ExecLaunch
    from ptxbench.kernel_comparison import Closeness, Kernel, LaunchComparison
    from ptxbench.kernel_timing import KernelTiming
    from ptxbench.listing.explanation import ExplainedPair
    from ptxbench.listing.text import Listing
    from ptxbench.runner import RunPlan
    from ptxbench.toolchain import Build
    from ptxbench.toolchain.options import SourceOptions

SUFFIXES = (".cu", ".ptx")
RESULTS = Path("results")
"""Where the calibration of a GPU is, as for `ptxbench run`."""


class Extras(NamedTuple):
    """What is shown of each SASS instruction in addition to its text: live registers, control codes."""

    live_registers: bool
    control: bool


class Launches(NamedTuple):
    """The launch of each of two kernels, their arguments, and how much the outputs may differ.

    `gpu`: the device that times them in `rounds` processes; None without one.
    """

    launches: Sequence[ExecLaunch]
    arguments: Sequence[Parsed]
    closeness: Closeness
    arch: str | None
    gpu: Backend | None = None
    rounds: int = 0
    gpu_required: bool = False
    """Whether the command line asks for times: without them there is no verdict."""


class TwoKernels(NamedTuple):
    """Two kernels with their listings, how these differ, and the launches and times if there were any."""

    kernels: tuple[Kernel, Kernel]
    listings: tuple[Listing, Listing]
    case: ExplainedPair
    launched: LaunchComparison | None
    timed: KernelTiming | None = None


# ---- reading


def read(paths: Sequence[Path], arch: str | None, sources: Sequence[SourceOptions]) -> list[ExecProgram]:
    """The programs of the files; two files are built for one architecture. Options of CUDA C are for the .cu files."""
    from ptxbench.discovery.other_files import missing_file
    from ptxbench.exec_program import read_program, read_to_build

    for path in paths:
        if not path.exists():
            raise UsageError(missing_file(path))
    if len(sources) > len(paths):
        most = "once" if len(paths) == 1 else "once, or twice, a name for each file"
        raise UsageError(f"--entry is given {len(sources)} times. Give it {most}.")
    if arch is None and len(paths) > 1:
        arch = common_arch([read_program(path, None).arch for path in paths if path.suffix == ".ptx"])
    return [
        read_to_build(path, arch, source.for_file(path, paths))
        for path, source in zip(paths, for_each_file(sources, paths), strict=True)
    ]


def for_each_file(sources: Sequence[SourceOptions], paths: Sequence[Path]) -> Sequence[SourceOptions]:
    """The options of each file; if --entry was given once, the same for all."""
    return sources if len(sources) == len(paths) else [sources[0]] * len(paths)


def common_arch(targets: Sequence[str]) -> str:
    """The architecture for files with these .targets: the default one, unless a file needs a later or a special one."""
    from ptxbench import architecture
    from ptxbench.backends import DEFAULT_ARCH

    default_number = architecture.number(DEFAULT_ARCH)
    special = [
        target for target in targets if architecture.suffix(target) or architecture.number(target) > default_number
    ]
    return max(
        special, key=lambda target: (architecture.number(target), architecture.suffix(target)), default=DEFAULT_ARCH
    )


def choose(programs: Sequence[ExecProgram], sources: Sequence[SourceOptions]) -> list[Function]:
    """The kernel of each file: the one that --entry names, else the only one, else the one with the same name as the
    kernel of the other file."""
    from ptxbench import kernel_names

    wanted = [source.entry for source in sources]
    if not any(wanted):
        only_entries = [
            next(iter(opened.module.entries)) if len(opened.module.entries) == 1 else None for opened in programs
        ]
        for number, (program, other) in enumerate(zip(programs, reversed(only_entries), strict=True)):
            if other and len(program.module.entries) > 1:
                name = kernel_names.short(other)
                wanted[number] = name if kernel_names.matching(name, program.module.entries) else None
    try:
        return [program.choose(name) for program, name in zip(programs, wanted, strict=True)]
    except UsageError as error:
        if len(programs) > 1 and sources[0] is sources[1] and any(wanted):  # --entry was given once
            raise UsageError(f"{error} Give --entry twice if the names differ: first for the first file.") from None
        raise


# ---- one kernel


def one_build(path: Path, arch: str | None, sources: Sequence[SourceOptions], *, whole: bool = False) -> Build:
    """The build of one kernel of a file. `whole`: the whole file is wanted, so without --entry any of its kernels will
    do."""
    (program,) = read([path], arch, sources)
    if whole and not sources[0].entry and program.module.entries:
        return program.build(next(iter(program.module.entries)))
    return program.build(choose([program], sources)[0].name)


def of_file(path: Path, arch: str | None, sources: Sequence[SourceOptions], extras: Extras) -> Listing:
    """The listing of one kernel of a file."""
    from ptxbench.cli._progress import Bar

    with Bar() as bar:
        bar.update(0, 1, f"build {path.name}")
        (program,) = read([path], arch, sources)
        return listing_of_program(program, program.build(choose([program], sources)[0].name), extras)


def listing_of_program(program: ExecProgram, build: Build, extras: Extras, counted: Counted | None = None) -> Listing:
    """The listing of a build of a file, of the header that has the kernel if the file does not."""
    from ptxbench.listing.text import in_its_file

    return in_its_file(listing_of(build, extras, counted), program.source_file)


def listing_of(build: Build, extras: Extras, counted: Counted | None = None) -> Listing:
    """The listing of a build, with the counts of a launch."""
    from ptxbench.listing.text import counted_listing
    from ptxbench.toolchain.lines import annotate

    annotated = annotate(build, live_registers=extras.live_registers, controls=extras.control)
    return counted_listing(build, build.source.read_bytes(), annotated, counted)


# ---- two kernels


def of_two(
    paths: Sequence[Path],
    arch: str | None,
    sources: Sequence[SourceOptions],
    extras: Extras,
    launches: Launches | None,
) -> TwoKernels:
    """Two kernels, built, launched if `launches` says how, listed and compared."""
    from ptxbench import kernel_names
    from ptxbench.cli._progress import Bar
    from ptxbench.execution import counted_of
    from ptxbench.kernel_comparison import Kernel, launch_both, names_of
    from ptxbench.listing.difference import compare
    from ptxbench.listing.explanation import ExplainedPair
    from ptxbench.pair import Launch

    with Bar() as bar:
        bar.update(0, 3, "build " + " and ".join(path.name for path in paths))
        programs = read(paths, arch, sources)
        functions = choose(programs, for_each_file(sources, paths))
        names = names_of(paths, [kernel_names.short(function.name) for function in functions])
        a, b = (Kernel(*parts) for parts in zip(names, programs, functions, strict=True))
        builds = [replace(kernel.program.build(kernel.function.name), variant=kernel.name) for kernel in (a, b)]
        launched = None
        if launches:
            bar.update(1, 3, f"launch {a.name} and {b.name}")
            launched = launch_both((a, b), launches.arguments, launches.launches, launches.closeness)
        bar.update(2, 3, f"list {a.name} and {b.name}")
        counts = (
            [None if outcome.error else counted_of(outcome) for outcome in launched.outcomes]
            if launched
            else [None, None]
        )
        first, second = (
            listing_of_program(program, build, extras, counted)
            for program, build, counted in zip(programs, builds, counts, strict=True)
        )
    case = ExplainedPair(compare(first, second))
    if launched:
        launched = launched.with_executed([first.machine, second.machine])
        launch_a, launch_b = (
            Launch(outcome.launch.grid, outcome.block, outcome.launch.shared_bytes, outcome.launch.cluster)
            for outcome in launched.outcomes
        )
        case = replace(case, launch=launch_a, right_launch=launch_b)
    timed = time_both(launched, launches) if launched and launches and launches.gpu else None
    return TwoKernels((a, b), (first, second), case, launched, timed)


def time_both(launched: LaunchComparison, launches: Launches) -> KernelTiming:
    """Both kernels on the GPU."""
    from ptxbench.calibration.record import calibrated
    from ptxbench.cli._progress import Bar
    from ptxbench.kernel_timing import time_kernels
    from ptxbench.runner import RunFrame

    assert launches.gpu is not None

    def as_calibrated(plan: RunPlan) -> RunPlan:
        return calibrated(plan, RESULTS / RunFrame(plan, plan.backend.device()).folder)

    with Bar() as bar:
        timed = time_kernels(launched, launches.gpu, launches.rounds, bar.show, as_calibrated)
    if timed.cell is None and timed.status == ExitStatus.NO_VERDICT and not launches.gpu_required:
        return replace(timed, status=ExitStatus.GOOD)
    return timed
