"""`ptxbench list`: the pairs that can be run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptxbench.cli._baselines import baselines_option
from ptxbench.cli._files import json_option, require_folder, results_option
from ptxbench.cli._given import refuse
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._saved import read, saved, warn_unreadable
from ptxbench.cli._terminal import say, width
from ptxbench.errors import PairError
from ptxbench.exit_status import ExitStatus
from ptxbench.safe_text import log_text, plain

if TYPE_CHECKING:
    from ptxbench.discovery import LoadedPair, Source
    from ptxbench.verdict.scoreboard import RecordedCell

INDENT = 12


@click.command("list", short_help="List pairs, their variants and their sizes.")
@click.argument("pairs", metavar="[PAIR]...", nargs=-1)
@kernels_option("List the pairs of this folder only: it holds pairs/, cuda/ and ptx/. Its pair files are executed.")
@json_option("Print JSON, and nothing else, on stdout.")
@click.option(
    "--verdicts",
    is_flag=True,
    help="Print the scoreboard instead: for each pair and architecture whether PTX is the only way, wins, ties or "
    "loses, and whether that is expected or measured.",
)
@results_option("With --verdicts: take the runs below this folder.")
@baselines_option()
def command(
    pairs: tuple[str, ...], kernels: Path, as_json: bool, verdicts: bool, results: Path, baselines: Path
) -> int:
    """List PAIRs, by name or glob, or every pair: the purpose of each, what it needs, its variants and its sizes.

    The "expects" text of a pair is the author's prediction, not a measurement. "needs" is the lowest architecture
    of a PTX variant; CUDA C has none. Variants with a star run only if --variant names them. Sizes that depend on
    the device are those of an H100; `run` takes the GPU's own.

    With PAIR, --json has everything that a kernel must match: arguments, launches, check sizes, tolerance, reference,
    texts.

    With --verdicts, a verdict is "measured" only if a saved run of a GPU shows it; else it is "expected". "counted"
    and "executed" mean that a run on the emulator points to the same verdict. Runs of other kernels do not count.

    Exit status: 0 good, 2 usage or a pair that cannot be read.
    """  # fmt: skip
    from ptxbench.discovery import choose_pairs, load
    from ptxbench.exporters.pair import describe, to_json

    if verdicts:
        require_folder("results", results, "saved runs")
        require_folder("baselines", baselines, "baselines")
        return print_verdicts(kernels, choose_pairs(kernels, pairs), recorded(results, baselines), as_json=as_json)
    refuse("Only --verdicts reads recorded runs.", ("results", "baselines"))
    columns, texts, described, first_error = width(), [], [], None
    starred = failing = False
    for name in choose_pairs(kernels, pairs):
        try:
            loaded = load(kernels, name)
            if as_json:
                described.append(describe(loaded, whole=bool(pairs)))
            else:
                texts.append("\n".join(lines(loaded, columns)))
                starred = starred or bool(loaded.pair.by_request)
                failing = failing or bool(loaded.pair.must_fail)
        except PairError as error:  # the other pairs are still worth listing
            first_error = first_error or error
    if as_json:
        say(to_json(described), nl=False)
    else:
        signs = {"* runs only if --variant names it": starred, "! must be wrong: a run fails if it is right": failing}
        legend = [click.style(text, dim=True) for text, used in signs.items() if used]
        click.echo(log_text("\n\n".join([*texts, *legend])))
    if first_error:
        raise first_error
    return ExitStatus.GOOD


def recorded(results: Path, baselines: Path) -> list[RecordedCell]:
    """The results of the baselines and of the saved runs; what cannot be read is named on stderr."""
    from ptxbench.verdict.scoreboard import records

    unreadable: list[str] = []
    result = records([*read(sorted(baselines.glob("*.json")), unreadable), *saved(results, unreadable)])
    warn_unreadable(unreadable)
    return result


def print_verdicts(kernels: Path, names: Sequence[str], recorded: Sequence[RecordedCell], *, as_json: bool) -> int:
    """Print the scoreboard of these pairs. Raises the first PairError once the others are printed."""
    from ptxbench.discovery import load
    from ptxbench.exporters.scoreboard import to_json
    from ptxbench.verdict.scoreboard import standings

    verdicts, first_error = [], None
    for name in names:
        try:
            verdicts += standings(load(kernels, name), recorded)
        except PairError as error:
            first_error = first_error or error
    if as_json:
        say(to_json(verdicts), nl=False)
    elif not verdicts:
        say("No verdict: the pairs have no prediction, and no recorded run is of them.")
    else:
        from ptxbench.cli._blocks import open_console
        from ptxbench.terminal.tables import draw
        from ptxbench.wording.scoreboard import scoreboard_table

        open_console().print(draw(scoreboard_table(verdicts)))
    if first_error:
        raise first_error
    return ExitStatus.GOOD


def lines(loaded: LoadedPair, columns: int) -> Iterator[str]:
    """The pair as text: its name and summary, then one aligned line per fact."""
    pair, targets = loaded.pair, loaded.targets
    yield click.style(plain(loaded.name), bold=True, fg="cyan")
    yield from fact_line("does", loaded.summary, columns)
    yield from fact_line("purpose", pair.purpose, columns)
    if pair.expectation:
        yield from fact_line("expects", pair.expectation, columns)
    yield from fact_line("needs", targets["ptx"] or "no .target", columns)
    for language in dict.fromkeys(source.language for source in loaded.sources):
        names = [
            variant_label(loaded, source)
            + (f" ({target_words(source, targets[source.variant])})" if language == "ptx" else "")
            for source in loaded.sources
            if source.language == language
        ]
        yield from fact_line(language, "  ".join(names), columns)
    if loaded.libraries:
        yield from fact_line(
            "libraries", f"{'  '.join(library.variant for library in loaded.libraries)} (GPU only)", columns
        )
    sizes = "  ".join(",".join(f"{name}={value}" for name, value in size.items()) for size in pair.bench_sizes)
    yield from fact_line("sizes", sizes, columns)


def variant_label(loaded: LoadedPair, source: Source) -> str:
    """The variant's name, with a star if `ptxbench run` takes it only by `--variant`, and `!` if it must be wrong."""
    signs = (("*", loaded.pair.by_request), ("!", loaded.pair.must_fail))
    return source.variant + "".join(sign for sign, names in signs if source.variant in names)


def target_words(source: Source, target: str | None) -> str:
    """`sm_75`, and then the targets with their own file: `sm_75; sm_90a, sm_100f by own files`."""
    general = target or "no .target"
    special = [target for target, path in source.specialisations if path != source.path]
    return (
        f"{general}; {', '.join(special)} by {'own files' if special[1:] else 'its own file'}" if special else general
    )


def fact_line(noun: str, text: str, columns: int) -> Iterator[str]:
    """`  noun      text`, wrapped between words, and after a comma if a word is too long for a line."""
    from textwrap import wrap

    room = max(columns - INDENT, 20)
    wrapped = wrap(plain(text), room, break_long_words=False, break_on_hyphens=False) or ["-"]
    for i, line in enumerate(part for paragraph in wrapped for part in split_after_commas(paragraph, room)):
        yield click.style(f"  {noun if i == 0 else '':{INDENT - 2}}", dim=True) + line


def split_after_commas(line: str, room: int) -> Iterator[str]:
    """`line` in parts of at most `room` columns that end in a comma; longer if no comma comes in time."""
    while len(line) > room and (end := line.rfind(",", 0, room) + 1):
        yield line[:end]
        line = line[end:]
    yield line
