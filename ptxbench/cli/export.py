"""`ptxbench export`: a recorded run in the format of another tool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from ptxbench.cli._files import output_option, results_option
from ptxbench.cli._terminal import say
from ptxbench.errors import ResultError, UsageError
from ptxbench.exporters import FORMATS, NVBENCH, exporter


@click.command("export", short_help="Write a run in the format of another tool.")
@click.argument("run", default="latest")
@click.option(
    "--to",
    "form",
    type=click.Choice(list(FORMATS)),
    required=True,
    help=" ".join(f"{name}: {words}." for name, words in FORMATS.items()),
)
@output_option(
    "Write to this file, or for nvbench into this folder.  [default: stdout; nvbench needs a folder]",
    type=click.Path(path_type=Path),
    metavar="PATH",
)
@results_option()
def command(run: str, form: str, output: Path | None, results: Path) -> None:
    """Write the run RUN in the format of another tool.

    RUN is a file, the start of a file's name or of an id, `latest`, or `latest~1` for the run before it.

    Exit status: 0 good, 2 a run that cannot be found or has no times, or a file that cannot be written.
    """
    from ptxbench.exporters import to_nvbench
    from ptxbench.output_files import write
    from ptxbench.saved_runs import load_run

    if form == NVBENCH and output is None:
        raise UsageError("NVBench's files need a folder. Name one with --output.")
    recorded = load_run(run, results)
    if form == NVBENCH and output:
        write_files(to_nvbench.export(recorded), output)
    elif output:
        write(exporter(form)(recorded), output, replace=True)
    else:
        say(exporter(form)(recorded), nl=False)


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write these files below `folder`, replacing existing ones. Raises ResultError if that fails."""
    try:
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    except OSError as error:
        raise ResultError(f"Cannot write to {folder}: {error.strerror}. Name another folder with --output.") from None
