"""`ptxbench show`: what the compilers make of a kernel, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._sources import source_options
from ptxbench.cli._terminal import say
from ptxbench.errors import KernelError, UsageError, suggestion

if TYPE_CHECKING:
    from ptxbench.discovery import LoadedPair, Source
    from ptxbench.executed import Counted
    from ptxbench.listing.explanation import ExplainedPair
    from ptxbench.listing.text import Listing
    from ptxbench.pair import Launch, Size
    from ptxbench.terminal.listing import View
    from ptxbench.toolchain import Build
    from ptxbench.toolchain.options import SourceOptions

SUFFIXES = (".cu", ".ptx")


class Extras(NamedTuple):
    """What is shown of each SASS instruction in addition to its text: live registers, control codes."""

    live_registers: bool
    control: bool


@click.command("show", short_help="Show CUDA C, PTX and SASS, aligned by line.")
@click.argument("pair", metavar="PAIR|FILE")
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME",
    help="Show this variant, by name or glob; repeat.  [default: cuda and ptx]",
)
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
    nargs=2,
    metavar="A B",
    help="Compare the SASS of variant A with that of B, such as --diff cuda ptx, whatever registers they use.",
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
@source_options("The kernel to show, if FILE has several")
@kernels_option("Take the pair from this folder: it holds pairs/, cuda/ and ptx/. Its pair file is executed.")
@click.option("--json", "as_json", is_flag=True, help="Print the texts and their links as JSON, and nothing else.")
def command(
    pair: str,
    variants: tuple[str, ...],
    view: View | None,
    diff: tuple[str, str] | None,
    counts: bool,
    size: str | None,
    live_registers: bool,
    control: bool,
    arch: str | None,
    source: SourceOptions,
    kernels: Path,
    as_json: bool,
) -> int:
    """Show CUDA C, the PTX that NVRTC makes of it, hand-written PTX, and the SASS of each, aligned by line.

    By default source and SASS are shown; from 140 columns on, also the PTX between them. --ptx, --sass,
    --side-by-side and --diff exclude each other. Below the listing: how the variants differ, most important first,
    in machine code and in the emulator's counts. A .cu or .ptx FILE need not belong to a pair. No GPU is needed.

    Exit status: 0 good, 2 usage, 4 a kernel that cannot be built, or fails on the emulator.
    """
    refuse(view, diff, variants, counts, live_registers, control)
    extras = Extras(live_registers, control)
    cases: list[ExplainedPair] = []
    if Path(pair).suffix in SUFFIXES:
        refuse_for_files(variants, diff, counts, size)
        listings = [of_file(Path(pair), arch, source, extras)]
    else:
        if option := source.given:
            raise UsageError(f"{option} is for a .cu or .ptx file, and '{pair}' is a pair.")
        found = one_pair(kernels, pair)
        at = at_size(found, size)
        listings, uncounted = of_pair(
            found, diff or variants, arch or "sm_90", at, extras, strict=bool(diff), required=counts
        )
        cases = compared(listings, diff, found.pair.launch(**found.pair.bench_sizes[0]), at, uncounted)
    if as_json:
        from ptxbench.documents import json_text
        from ptxbench.listing.explanation import to_document

        say(json_text(to_document(listings, cases, diff=bool(diff))), nl=False)
    else:
        show(listings, cases, view or "auto", diff=bool(diff), counts=counts)
        if Path(pair).suffix in SUFFIXES:
            name = Path(pair).name
            say(f"\nNothing was executed: `ptxbench exec {name}` launches it and counts machine instructions.")
    return 0


def compared(
    listings: Sequence[Listing], diff: tuple[str, str] | None, launch: Launch, at: Size, uncounted: Mapping[str, str]
) -> list[ExplainedPair]:
    """The two variants of --diff; without it, every other variant with `cuda`, if that is shown."""
    from ptxbench.listing.difference import compare
    from ptxbench.listing.explanation import ExplainedPair
    from ptxbench.metrics import REFERENCE

    by_name = {listing.variant: listing for listing in listings}
    others = [name for name in by_name if name != REFERENCE and REFERENCE in by_name]
    pairs = [diff] if diff else [(REFERENCE, name) for name in others]
    return [
        ExplainedPair(
            compare(by_name[a], by_name[b]), launch, at, {name: uncounted[name] for name in (a, b) if name in uncounted}
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
    for index, each in enumerate(() if diff else listings):
        if index:
            console.print()
        console.print(ListingView(each, view, counts=counts))
    if cases:
        console.print()
        console.print(Findings(cases))


def refuse(
    view: str | None, diff: object, variants: Sequence[str], counts: bool, live_registers: bool, control: bool
) -> None:
    """Raises UsageError for options that do not go together."""
    if diff and variants:
        raise UsageError("--diff names its variants itself. Leave out --variant.")
    if diff and view:
        raise UsageError(f"--diff and --{view.replace(' ', '-')} are two views. Choose one.")
    if counts and diff:
        raise UsageError("--counts needs a listing of one variant. Leave it out, or use --sass.")
    if live_registers and (diff or view == "ptx"):
        raise UsageError("--live-registers needs a SASS listing. Leave it out, or use --sass.")
    if control and (diff or view == "ptx"):
        raise UsageError("--control needs a listing with SASS. Leave it out, or use --sass.")


def refuse_for_files(variants: Sequence[str], diff: object, counts: bool, size: str | None) -> None:
    """Raises UsageError for options that need a pair."""
    if variants or diff:
        raise UsageError(f"{'--diff' if diff else '--variant'} is for the variants of a pair, and a file has none.")
    if counts:
        raise UsageError(
            "--counts needs a launch, and a file has none. `ptxbench exec FILE` launches it, as its --grid, --block "
            "and --arg say, and counts lines and machine instructions."
        )
    if size:
        raise UsageError("--size needs a pair. To count a file, use `ptxbench exec` with --lines.")


def of_file(path: Path, arch: str | None, source: SourceOptions, extras: Extras) -> Listing:
    """The listing of one kernel of a file."""
    from ptxbench.cli._progress import Bar
    from ptxbench.execution import read_program

    if not path.exists():
        raise UsageError(f"There is no file {path}.")
    with Bar() as bar:
        bar.tell(0, 1, f"build {path.name}")
        program = read_program(path, arch, source)
        return listed(program.build(program.choose(source.entry).name), extras, None)


def one_pair(kernels: Path, name: str) -> LoadedPair:
    """The pair of that name or glob. Raises UsageError if several match."""
    from ptxbench.discovery import choose_pairs, load

    names = choose_pairs(kernels, [name])
    if len(names) > 1:
        raise UsageError(f"'{name}' matches {len(names)} pairs: {', '.join(names)}. Name one.")
    return load(kernels, names[0])


def of_pair(
    loaded: LoadedPair, wanted: Sequence[str], arch: str, at: Size, extras: Extras, *, strict: bool, required: bool
) -> tuple[list[Listing], dict[str, str]]:
    """The listings of a pair's variants, counted at the size `at`; and by variant, why one could not be counted.

    A variant that cannot be built, or not counted if that is `required`, is left out and named, unless `strict`. Raises
    the first error if none is left.
    """
    from ptxbench import toolchain
    from ptxbench.cli._progress import Bar
    from ptxbench.listing.explanation.counting import count
    from ptxbench.units import size_words

    listings, errors, uncounted = [], [], {}
    sources = chosen(loaded, wanted, strict=strict)
    with Bar() as bar:
        for done, source in enumerate(sources):
            try:
                bar.tell(2 * done, 2 * len(sources), f"build {loaded.name} {source.variant}")
                build = toolchain.build_source(source, arch)
                bar.tell(2 * done + 1, 2 * len(sources), f"count {loaded.name} {source.variant} at {size_words(at)}")
                try:
                    counted = count(loaded, build, at)
                except KernelError as error:
                    if required:
                        raise
                    counted, uncounted[source.variant] = None, str(error)
                listings.append(listed(build, extras, counted))
            except KernelError as error:
                if strict:
                    raise
                errors.append(error)
    if not listings:
        raise errors[0]
    for each in errors:
        say(f"Skipped: {each}", err=True)
    return listings, uncounted


def chosen(loaded: LoadedPair, wanted: Sequence[str], *, strict: bool) -> list[Source]:
    """The variants of these names or globs, without any `cuda` and `ptx`; if `strict`, in order and without globs."""
    from ptxbench.discovery import select

    by_name = {source.variant: source for source in loaded.sources}
    if strict:
        for name in wanted:
            if name not in by_name:
                text = suggestion(name, list(by_name)) or f" Known: {', '.join(by_name)}."
                raise UsageError(f"Unknown variant '{name}' of {loaded.name}.{text}")
        return [by_name[name] for name in dict.fromkeys(wanted)]
    return [by_name[name] for name in select(tuple(by_name), wanted or ("cuda", "ptx"), "variant")]


def listed(build: Build, extras: Extras, counted: Counted | None) -> Listing:
    from ptxbench.listing import text
    from ptxbench.toolchain.lines import annotate

    return text.counted_listing(
        build,
        build.source.read_bytes(),
        annotate(build, live_registers=extras.live_registers, controls=extras.control),
        counted,
    )


def at_size(loaded: LoadedPair, text: str | None) -> Size:
    """The size to count at. Raises UsageError for a size that the pair does not accept."""
    from ptxbench.listing.explanation.counting import size_of
    from ptxbench.runner.plan import complete, no_such_size, parse_size

    if text is None:
        return size_of(loaded)
    asked = parse_size(text)
    size = complete(asked, loaded)
    if size is None:
        raise UsageError(no_such_size(asked, [loaded]))
    return size
