"""`ptxbench arch`: the GPUs for which each variant can be assembled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptxbench.cli._dask import dask_option, dask_pool
from ptxbench.cli._files import json_option, outputs_option
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._selection import targets_option
from ptxbench.cli._sources import source_options
from ptxbench.cli._terminal import say
from ptxbench.errors import UsageError
from ptxbench.exit_status import ExitStatus

if TYPE_CHECKING:
    from ptxbench.exporters.portability import Survey
    from ptxbench.pool import Pool
    from ptxbench.portability.survey import Matrix, Subject
    from ptxbench.toolchain.options import SourceOptions


@click.command("arch", short_help="Show for which targets each kernel can be built.")
@click.argument("pairs", metavar="[PAIR|FILE]...", nargs=-1)
@targets_option(
    "Only these targets, such as sm_90a or 'sm_12*'; repeat.  [default: all that ptxas knows from sm_75 on]"
)
@click.option("--require-all", is_flag=True, help="Fail unless every kernel works on every one of the targets, for CI.")
@click.option(
    "--columns",
    "cell",
    type=click.Choice(["registers", "spills", "sass", "occupancy"]),
    default="registers",
    help="What to show for each variant: registers of a thread, spilled bytes, SASS instructions, or "
    "theoretical occupancy in % at the pair's first bench size.",
)
@source_options("Only this kernel of each FILE")
@dask_option("targets of each kernel")
@outputs_option("Write the matrices to FILE too, in the format of its suffix: .json (all figures) or .md; repeat.")
@json_option("Print JSON with all figures, and nothing else, on stdout.")
@kernels_option("Take the pairs of this folder only: it holds pairs/, cuda/ and ptx/.")
def command(
    pairs: tuple[str, ...],
    patterns: tuple[str, ...],
    require_all: bool,
    cell: str,
    source: SourceOptions,
    dask: str | None,
    outputs: tuple[Path, ...],
    as_json: bool,
    kernels: Path,
) -> int:
    """Assemble PAIRs, by name or glob, or every pair, for every target that ptxas knows.

    For a target that does not work, the instruction, its line and what it needs are reported. A FILE.ptx or FILE.cu
    need not belong to a pair; all of its kernels are tried. Nothing is executed: "runs on" means that ptxas
    assembles the kernel for that target. No GPU is needed.

    Exit status: 0 good, 2 usage or an unreadable pair, 4 a FILE that does not compile or is not PTX, or a kernel
    that works on none of the targets, or with --require-all not on all of them, 5 with --require-all: a target could
    not be tried.
    """
    from ptxbench import toolchain
    from ptxbench.cli._saving import OutputFiles
    from ptxbench.exporters.portability import EXPORTERS, Survey, to_json
    from ptxbench.toolchain.trial import chosen_targets

    files = OutputFiles(outputs, EXPORTERS)
    chosen = chosen_targets(patterns)
    subjects = find_subjects(kernels, pairs, chosen, source)
    survey = Survey(toolchain.versions(), chosen, [], cell)
    with dask_pool(dask, [kernels, *files_read(subjects, kernels, source)]) as pool:
        survey = survey._replace(matrices=gather(survey, subjects, pool, quiet=as_json))
    if as_json:
        say(to_json(survey), nl=False)
    files.write(survey)
    return exit_status(survey, require_all=require_all)


def exit_status(survey: Survey, *, require_all: bool) -> ExitStatus:
    """WRONG_KERNEL for a kernel that works on none of the targets that were tried, or not on all of them."""
    from ptxbench.toolchain.trial import REFUSED, UNTRIED

    results = [result for matrix in survey.matrices for result in matrix.reaches.values()]
    statuses = {trial.status for result in results for trial in result.trials.values()}
    if any(result.tried and not result.assembling for result in results) or (require_all and REFUSED in statuses):
        return ExitStatus.WRONG_KERNEL
    return ExitStatus.NO_VERDICT if require_all and UNTRIED in statuses else ExitStatus.GOOD


def find_subjects(
    kernels: Path, arguments: Sequence[str], targets: Sequence[str], options: SourceOptions
) -> list[Subject]:
    """The given files, then the pairs; every pair if nothing is given."""
    from ptxbench.discovery import choose_pairs
    from ptxbench.portability.survey import file_subject, pair_subject

    files = [Path(argument) for argument in arguments if Path(argument).suffix in (".ptx", ".cu")]
    names = [argument for argument in arguments if Path(argument).suffix not in (".ptx", ".cu")]
    if not files and (option := options.first_option):
        raise UsageError(f"{option} is for a .cu or .ptx file. Name one.")
    subjects = [file_subject(path, targets, options.for_file(path, files)) for path in files]
    if names or not files:
        subjects += [pair_subject(kernels, name) for name in choose_pairs(kernels, names)]
    return subjects


def files_read(subjects: Sequence[Subject], kernels: Path, options: SourceOptions) -> list[Path]:
    """The files outside `kernels` that a trial reads: the given ones, with the headers next to them, and -I."""
    files = {source.path for subject in subjects for source in subject.sources}
    outside = sorted(file for file in files if kernels.absolute() not in file.absolute().parents)
    folders = {file.parent for file in outside}
    headers = sorted(header for folder in folders for name in ("*.h*", "*.cuh") for header in folder.glob(name))
    return [*outside, *headers, *options.include]


def gather(survey: Survey, subjects: Sequence[Subject], pool: Pool | None, *, quiet: bool) -> list[Matrix]:
    """Try everything, with progress on a terminal, and print each matrix as soon as it is complete."""
    from rich.constrain import Constrain
    from rich.text import Text

    from ptxbench.cli._blocks import open_console
    from ptxbench.cli._progress import Bar
    from ptxbench.portability.survey import Matrix
    from ptxbench.portability.survey import survey as try_all
    from ptxbench.terminal import WIDEST
    from ptxbench.terminal.portability_matrix import MatrixTable
    from ptxbench.wording.portability import compiled_line, header, total

    console = open_console()
    matrices: list[Matrix] = []
    if not quiet:
        console.print(Constrain(Text(header(survey.versions, survey.targets, survey.cell), "dim"), WIDEST), "")
    with Bar() as bar:
        for event in try_all(subjects, survey.targets, pool):
            if not isinstance(event, Matrix):
                bar.show(event)
                continue
            matrices.append(event)
            if not quiet:
                with bar.paused():
                    console.print(MatrixTable(event, survey.cell))
    lines = [compiled_line(matrices), total(matrices) if len(matrices) > 1 else None]
    if not quiet and any(lines):
        console.print(Constrain(Text("\n".join(filter(None, lines)), "dim"), WIDEST))
    return matrices
