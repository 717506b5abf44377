"""`ptxbench show`: what the compilers make of a kernel, stage by stage."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptxbench.backends import BACKENDS, DEFAULT_ARCH
from ptxbench.cli._device import open_backend, rounds_option
from ptxbench.cli._emit import FORMS
from ptxbench.cli._files import json_option, output_option
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._launches import LaunchFlags, launch_options
from ptxbench.cli._selection import variants_option
from ptxbench.cli._show_files import SUFFIXES, Extras, Launches, TwoKernels, listing_of, of_file, of_two, one_build
from ptxbench.cli._sources import source_options
from ptxbench.cli._terminal import say
from ptxbench.errors import KernelError, ToolMissing, UsageError, suggestion
from ptxbench.exit_status import ExitStatus
from ptxbench.languages import REQUIRED

if TYPE_CHECKING:
    from ptxbench.discovery import LoadedPair, Source
    from ptxbench.listing.explanation import ExplainedPair
    from ptxbench.listing.text import Listing
    from ptxbench.pair import Pair, Size
    from ptxbench.terminal.listing import View
    from ptxbench.toolchain.options import SourceOptions


ROUNDS = 5
"""The usual number of processes to time in, as for `ptxbench run`."""


VIEWS = ("--side-by-side", "--ptx", "--sass")
"""The options that each choose a listing; of several click takes the last one."""


class DiffOfNames(click.Command):
    """A command whose `--diff A B` may be before the name of the pair: names after --diff are moved to the end."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if len(views := [word for word in dict.fromkeys(args) if word in VIEWS]) > 1:
            raise UsageError(f"{' and '.join(views)} exclude each other. Choose one.")
        if "--diff" in args:
            position = args.index("--diff")
            names = [*itertools.takewhile(lambda word: not word.startswith("-"), args[position + 1 : position + 3])]
            if not any(Path(name).suffix in SUFFIXES for name in names):
                args = [*args[:position], *args[position + 1 + len(names) :], "--diff", *names]
        return super().parse_args(ctx, args)


@click.command("show", cls=DiffOfNames, short_help="Show CUDA C, PTX and SASS, aligned by line.")
@click.argument("names", metavar="PAIR|FILE [FILE]", nargs=-1, required=True)
@variants_option("Show this variant, by name or glob; repeat.  [default: cuda and ptx]")
@click.option(
    "--side-by-side",
    "view",
    flag_value="side by side",
    help="CUDA C, PTX and SASS, whatever the width of the terminal.",
)
@click.option("--ptx", "view", flag_value="ptx", help="The CUDA C with its PTX, and the hand-written PTX.")
@click.option("--sass", "view", flag_value="sass", help="The SASS in its own order, with the lines that it comes from.")
@click.option(
    "--diff",
    is_flag=True,
    help="Compare the SASS of two FILEs, or of two variants of PAIR, such as --diff cuda ptx; register numbers are "
    "ignored.",
)
@click.option(
    "--counts",
    is_flag=True,
    help="Add how often warps execute each line of PTX, each SASS instruction, or the PTX of a line of CUDA "
    "C. The emulator counts PTX; counts of SASS follow from these and the machine code.",
)
@click.option(
    "--size",
    metavar="N=V,..",
    help="Count at this size, such as n=65536.  [default: the pair's largest check size]",
)
@click.option("--live-registers", is_flag=True, help="Add the number of live registers at each SASS instruction.")
@click.option(
    "--control",
    is_flag=True,
    help="Add the control code of each SASS instruction: the barriers that it waits for, its read and write "
    "barrier, yield bit and stall cycles.",
)
@click.option("--arch", metavar="SM", help="Build for this architecture.  [default: sm_90; a PTX file's .target]")
@source_options("The kernel to show, if FILE has several, for two FILEs also twice", several=True)
@launch_options
@click.option(
    "--tolerance",
    metavar="RTOL[,ATOL]",
    help="Two FILEs: accept floats B of the second if abs(B - A) <= ATOL + RTOL * abs(A), A of the first.  "
    "[default: equal values only]",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", *BACKENDS]),
    help="Two FILEs: after the emulator, time both on a GPU too. auto: if there is one; emulator: never.  "
    "[default: auto]",
)
@rounds_option("Two FILEs: number of new processes to time in. GPU only.  [default: 5]", usual=None)
@click.option(
    "--emit",
    type=click.Choice(FORMS),
    help="Print only this form of one kernel, or save it to the file of -o.",
)
@output_option("The file for --emit; an existing file is replaced.")
@kernels_option("Take the pair from this folder: it holds pairs/, cuda/ and ptx/. Its pair file is executed.")
@json_option("Print the texts and their links as JSON, and nothing else.")
def command(
    names: tuple[str, ...],
    variants: tuple[str, ...],
    view: View | None,
    diff: bool,
    counts: bool,
    size: str | None,
    live_registers: bool,
    control: bool,
    arch: str | None,
    sources: tuple[SourceOptions, ...],
    launch: LaunchFlags,
    tolerance: str | None,
    backend: str | None,
    rounds: int | None,
    emit: str | None,
    output: Path | None,
    kernels: Path,
    as_json: bool,
) -> int:
    """Show CUDA C, the PTX that NVRTC makes of it, hand-written PTX, and the SASS of each, aligned by line.

    By default source and SASS are shown; from 140 columns on, also the PTX between them. --ptx, --sass,
    --side-by-side and --diff exclude each other. Below the listing: how the variants differ, most important first,
    in machine code and in the emulator's counts. A .cu or .ptx FILE need not belong to a pair. No GPU is needed.

    Two FILEs are compared. With --arg, --grid or another option of a launch, both are launched on the emulator with
    the same data, and their outputs and counts are compared; on a GPU they are also timed. --grid, --block and --shared
    are for both, or are given twice: first for the first FILE.

    \b
    ptxbench show saxpy.cu saxpy.ptx --grid 64 --block 256 \\
        --arg 'f32[16384]=random' --arg 'f32[16384]=random' \\
        --arg f32=2 --arg u32=16384

    Exit status: 0 good, 2 usage, 4 a kernel that cannot be built, fails on the emulator, or has other outputs than
    the other FILE, 5 nothing could be compared, or an instruction that the emulator does not support.
    """
    subject = ShowSubject.of(names, diff=diff)
    check_options(view, diff, variants, live_registers, control)
    if counts and diff:
        raise UsageError("--counts needs a listing of one variant. Leave it out, or use --sass.")
    extras = Extras(live_registers, control)
    others = {"--tolerance": tolerance, "--backend": backend, "--rounds": rounds}
    of_launches = (*launch.options_used, *(name for name, value in others.items() if value))
    if subject.files:
        check_file_options(
            subject.files, sources[0], variants, diff, counts, size, of_launches, launched=bool(launch.options_used)
        )
    else:
        check_pair_options(subject.pair, [*filter(None, [sources[0].first_option]), *of_launches])
    if emit or output:
        save_form(subject, variants, arch, sources, kernels, emit, output, as_json=as_json)
        return ExitStatus.GOOD
    if len(subject.files) == 2:
        launches = requested_launches(launch, tolerance, backend or "auto", rounds or ROUNDS, arch)
        both = of_two(subject.files, launches.arch if launches else arch, sources, extras, launches)
        options = (sources[0] if len(sources) == 1 else replace(sources[0], entry=None)).words
        return show_two(both, options, view or "auto", diff=diff, counts=counts, as_json=as_json)
    cases: list[ExplainedPair] = []
    open_question: str | None = None
    if subject.files:
        listings = [of_file(subject.files[0], arch, sources, extras)]
    else:
        loaded = one_pair(kernels, subject.pair)
        open_question = loaded.open_question
        if open_question and (counts or size):
            raise UsageError(open_question)
        count_size = None if open_question else at_size(loaded, size)
        listings, uncounted = pair_listings(
            loaded,
            subject.diff or variants,
            arch or default_arch(loaded),
            count_size,
            extras,
            strict=diff,
            required=counts,
        )
        cases = compared(listings, subject.diff, None if open_question else loaded.pair, count_size, uncounted)
    if as_json:
        from ptxbench.exporters.listing import to_json

        say(to_json(listings, cases, diff=diff), nl=False)
    else:
        show(listings, cases, view or "auto", diff=diff, counts=counts)
        if open_question:
            say(f"\nNothing was counted: {open_question}")
        for path in subject.files:
            command = typed("exec", path, *sources[0].words, *(("--arch", arch) if arch else ()))
            say(f"\nNothing was executed: `{command}` launches it and counts machine instructions.")
    return ExitStatus.GOOD


@dataclass(frozen=True)
class ShowSubject:
    """What is shown: `files`, one or two, or `pair`; `diff`: the two variants of the pair to compare."""

    files: tuple[Path, ...] = ()
    pair: str = ""
    diff: tuple[str, str] | None = None

    @classmethod
    def of(cls, names: Sequence[str], *, diff: bool) -> ShowSubject:
        """Raises UsageError for names that are neither one pair, nor one or two files."""
        from ptxbench.metrics import REFERENCE

        files = tuple(Path(name) for name in names if Path(name).suffix in SUFFIXES)
        pairs = [name for name in names if Path(name).suffix not in SUFFIXES]
        if not pairs and len(files) <= 2:
            return cls(files)
        if not files and len(pairs) == 1:
            return cls(pair=pairs[0], diff=(REFERENCE, "ptx") if diff else None)
        if not files and diff and len(pairs) == 3:
            return cls(pair=pairs[0], diff=(pairs[1], pairs[2]))
        listed = ", ".join(f"'{name}'" for name in names)
        if not files and diff:
            raise UsageError(f"--diff compares two variants of one pair, such as --diff cuda ptx; found {listed}.")
        hint = ""
        if files and pairs:
            hint = f" `{typed('check', files[0])} --pair {pairs[0]}` compares a file with a pair."
        raise UsageError(f"Expected one PAIR, or one or two FILEs (.cu, .ptx); found {listed}.{hint}")


def typed(name: str, file: object, *options: str) -> str:
    """The command `name` for a file, with these words after it, as it is typed in a shell."""
    return shlex.join(["ptxbench", name, str(file), *options])


def requested_launches(
    options: LaunchFlags, tolerance: str | None, backend: str, rounds: int, arch: str | None
) -> Launches | None:
    """What the command line says about the launches of two files; None if it asks for none.

    Raises UsageError if --arch is not that of the GPU that is to time them.
    """
    from ptxbench.kernel_comparison import Closeness

    if not options.options_used:
        return None
    extents, arguments = options.launches(2), options.arguments()
    closeness = Closeness.read(tolerance) if tolerance else Closeness()
    opened = open_backend(backend, arch)
    if opened.name != "gpu":
        return Launches(extents, arguments, closeness, arch)
    gpu_arch = opened.device().sm
    if arch and arch.rstrip("af") != gpu_arch.rstrip("af"):
        raise UsageError(f"The GPU is {gpu_arch}, not {arch}. Leave out --arch, or use --backend emulator.")
    return Launches(extents, arguments, closeness, arch or gpu_arch, opened, rounds, backend == "gpu")


def show_two(both: TwoKernels, options: Sequence[str], view: View, *, diff: bool, counts: bool, as_json: bool) -> int:
    """Print two kernels, built with these options of CUDA C, and how they differ; the exit status."""
    from ptxbench.kernel_comparison import EXIT_STATUSES, unlike_signatures

    launched, timed = both.launched, both.timed
    if as_json:
        from ptxbench.exporters import kernel_comparison, listing

        text = listing.to_json(
            both.listings,
            [both.case],
            diff=diff,
            parameters_differ=unlike_signatures(*both.kernels),
            launch=kernel_comparison.describe(launched, timed) if launched else None,
        )
        say(text, nl=False)
    else:
        from ptxbench.cli._blocks import open_console
        from ptxbench.terminal.kernel_comparison import ComparisonReport

        show(both.listings, [both.case], view, diff=diff, counts=counts)
        say()
        open_console().print(ComparisonReport(both.kernels, both.listings, launched, timed, options))
    if launched is None:
        return ExitStatus.GOOD
    return EXIT_STATUSES[launched.status] or (timed.status if timed else ExitStatus.GOOD)


def save_form(
    subject: ShowSubject,
    variants: Sequence[str],
    arch: str | None,
    sources: Sequence[SourceOptions],
    kernels: Path,
    form: str | None,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Save one form of one kernel. Raises UsageError if it is not clear which."""
    from ptxbench import toolchain
    from ptxbench.cli._emit import emit, require_output

    if form is None:
        raise UsageError("-o is the file for --emit. Say what to save: --emit ptx, --emit cubin or --emit sass.")
    if as_json:
        raise UsageError("--emit and --json are two outputs. Choose one.")
    if len(subject.files) > 1 or subject.diff:
        raise UsageError("--emit saves one kernel. Name one FILE, or one PAIR with --variant.")
    require_output(form, output)
    if subject.files:
        build = one_build(subject.files[0], arch, sources, whole=form != "sass")
    else:
        loaded = one_pair(kernels, subject.pair)
        chosen_sources = chosen_variants(loaded, variants or ["*"], strict=False)
        if len(chosen_sources) != 1:
            names = ", ".join(source.variant for source in chosen_sources)
            raise UsageError(f"--emit saves one variant, and '{loaded.name}' has {names}. Name one with --variant.")
        build = toolchain.build_source(chosen_sources[0], arch or default_arch(loaded))
    emit(build, form, output)


def default_arch(loaded: LoadedPair) -> str:
    """The architecture of a pair without --arch: that of its PTX if it exists for some targets only."""
    return loaded.arch(DEFAULT_ARCH, any_gpu=True)


def compared(
    listings: Sequence[Listing],
    diff: tuple[str, str] | None,
    pair: Pair | None,
    size: Size | None,
    uncounted: Mapping[str, str],
) -> list[ExplainedPair]:
    """The comparison of the two variants of --diff; without --diff, of `cuda` with every other variant, if `cuda` is
    shown.

    `pair`: its launches at the first bench size decide the occupancy; None if they are unknown.
    """
    from ptxbench.listing.difference import compare
    from ptxbench.listing.explanation import ExplainedPair
    from ptxbench.metrics import REFERENCE

    by_name = {listing.variant: listing for listing in listings}
    others = [name for name in by_name if name != REFERENCE and REFERENCE in by_name]
    pairs = [diff] if diff else [(REFERENCE, name) for name in others]
    return [
        ExplainedPair(
            compare(by_name[a], by_name[b]),
            pair.launch_of(a)(**pair.bench_sizes[0]) if pair else None,
            size=size,
            uncounted={name: uncounted[name] for name in (a, b) if name in uncounted},
            right_launch=pair.launch_of(b)(**pair.bench_sizes[0]) if pair else None,
        )
        for a, b in pairs
    ]


def show(listings: Sequence[Listing], cases: Sequence[ExplainedPair], view: View, *, diff: bool, counts: bool) -> None:
    """Print the listings, or the one comparison, and the findings."""
    from ptxbench.cli._blocks import open_console
    from ptxbench.terminal.listing import DifferenceView, Findings, ListingView

    console = open_console()
    if diff:
        console.print(DifferenceView(cases[0].difference))
    for index, listing in enumerate(() if diff else listings):
        if index:
            console.print()
        console.print(ListingView(listing, view, counts=counts))
    if cases:
        console.print()
        console.print(Findings(cases))


def check_options(view: str | None, diff: bool, variants: Sequence[str], live_registers: bool, control: bool) -> None:
    """Raises UsageError for options that do not go together."""
    if diff and variants:
        raise UsageError("--diff names its variants itself. Leave out --variant.")
    if diff and view:
        raise UsageError(f"--diff and --{view.replace(' ', '-')} are two views. Choose one.")
    if live_registers and (diff or view == "ptx"):
        raise UsageError("--live-registers needs a SASS listing. Leave it out, or use --sass.")
    if control and (diff or view == "ptx"):
        raise UsageError("--control needs a listing with SASS. Leave it out, or use --sass.")


def check_pair_options(pair: str, options: Sequence[str]) -> None:
    """Raises UsageError for options that need a file."""
    if options:
        raise UsageError(f"{options[0]} is for .cu and .ptx files, and '{pair}' is a pair.")


def check_file_options(
    files: Sequence[Path],
    source: SourceOptions,
    variants: Sequence[str],
    diff: bool,
    counts: bool,
    size: str | None,
    of_launches: Sequence[str],
    *,
    launched: bool,
) -> None:
    """Raises UsageError for options that need a pair, a second file or a launch."""
    if variants:
        raise UsageError("--variant is for the variants of a pair, and a file has none.")
    if size:
        raise UsageError("--size needs a pair. To count files, describe the launch with --grid, --block and --arg.")
    if len(files) == 1:
        launching = typed("exec", files[0], *source.words)
        if diff:
            raise UsageError("--diff compares two kernels. Name a second FILE.")
        if of_launches:
            raise UsageError(f"{of_launches[0]} needs two FILEs to compare. `{launching}` launches one kernel.")
        if counts:
            raise UsageError(
                f"--counts needs a launch, and a file has none. `{launching}` launches it, as its "
                "--grid, --block and --arg say, and counts lines and machine instructions."
            )
    elif not launched and (options_of_launch := [*["--counts"] * counts, *of_launches]):
        option = options_of_launch[0]
        raise UsageError(
            f"{option} needs a launch. Describe it with --grid, --block and --arg, as for `ptxbench exec`."
        )


def one_pair(kernels: Path, name: str) -> LoadedPair:
    """The pair of that name or glob, which may have open questions. Raises UsageError if several match."""
    from ptxbench.discovery import choose_pair, load

    return load(kernels, choose_pair(kernels, name), unfinished=True)


def pair_listings(
    loaded: LoadedPair,
    wanted: Sequence[str],
    arch: str,
    size: Size | None,
    extras: Extras,
    *,
    strict: bool,
    required: bool,
) -> tuple[list[Listing], dict[str, str]]:
    """The listings of a pair's variants, counted at the size `size`, if any; and by variant, why one was not counted.

    A variant that cannot be built, or not counted if that is `required`, is left out and named, unless `strict`. Raises
    the first error if none is left.
    """
    from ptxbench import toolchain
    from ptxbench.cli._progress import Bar
    from ptxbench.listing.explanation.counting import count
    from ptxbench.units import size_words

    listings: list[Listing] = []
    errors: list[KernelError | ToolMissing] = []
    uncounted: dict[str, str] = {}
    sources = chosen_variants(loaded, wanted, strict=strict)
    with Bar() as bar:
        for done, source in enumerate(sources):
            try:
                bar.update(2 * done, 2 * len(sources), f"build {loaded.name} {source.variant}")
                build = toolchain.build_source(source, arch)
                counted = None
                if size is not None:
                    words = f"count {loaded.name} {source.variant} at {size_words(size)}"
                    bar.update(2 * done + 1, 2 * len(sources), words)
                    try:
                        counted = count(loaded, build, size)
                    except KernelError as error:
                        if required:
                            raise
                        uncounted[source.variant] = str(error)
                listings.append(listing_of(build, extras, counted))
            except (KernelError, ToolMissing) as error:
                # The tools of CUDA C and PTX are required; compilers of other languages are optional.
                if strict or (isinstance(error, ToolMissing) and source.language in REQUIRED):
                    raise
                errors.append(error)
    if not listings:
        raise errors[0]
    for skipped in errors:
        say(f"Skipped: {skipped}", err=True)
    return listings, uncounted


def chosen_variants(loaded: LoadedPair, wanted: Sequence[str], *, strict: bool) -> list[Source]:
    """The variants with these names or globs, by default `cuda` and `ptx`. `strict`: in the order of the names, no
    globs."""
    from ptxbench.discovery import select

    by_name = {source.variant: source for source in loaded.sources}
    if strict:
        for name in wanted:
            if name not in by_name:
                text = suggestion(name, list(by_name)) or f" Known are {', '.join(by_name)}."
                raise UsageError(f"Unknown variant '{name}' of {loaded.name}.{text}")
        return [by_name[name] for name in dict.fromkeys(wanted)]
    return [by_name[name] for name in select(tuple(by_name), wanted or ("cuda", "ptx"), "variant")]


def at_size(loaded: LoadedPair, text: str | None) -> Size:
    """The size to count at. Raises UsageError for a size that the pair does not accept."""
    from ptxbench.listing.explanation.counting import size_of
    from ptxbench.runner.plan import complete, parse_size, unknown_size_message

    if text is None:
        return size_of(loaded)
    requested = parse_size(text)
    size = complete(requested, loaded)
    if size is None:
        raise UsageError(unknown_size_message(requested, [loaded]))
    return size
