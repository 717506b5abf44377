"""`ptxbench model`: how far the model's floors can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptxbench.cli._files import json_option, require_folder, results_option
from ptxbench.cli._terminal import say
from ptxbench.errors import ResultError

if TYPE_CHECKING:
    from ptxbench.result import RunDocument


@click.group("model", short_help="Compare modelled floors with measured times.")
def command() -> None:
    """Compare the floors of `ptxbench run --model` with measured times.

    Exit status: 0 good, 2 usage, 3 a floor is above a published time.
    """


@command.command("audit", short_help="Score floors by published times, and claims by measured runs.")
@json_option("Print everything as JSON, and nothing else, on stdout.")
@results_option("Also score the claims of saved runs below this folder.")
def audit(as_json: bool, results: Path) -> int:
    """Compare the floors with published times of kernels, and their claims with measured runs.

    The published times are those that the authors of public kernels state; ptxbench ships them with the executions
    of these kernels. A saved run with --model is scored if a saved run on that GPU measured the same machine code.

    Exit status: 0 no floor is above a published time, 2 usage, 3 a floor is above one.
    """
    from ptxbench.model.points import published
    from ptxbench.model.runs import scored

    require_folder("results", results, "saved runs")
    points = published()
    measured = scored(readable(results))
    if as_json:
        from ptxbench.exporters.model import to_json

        say(to_json(points, measured), nl=False)
    else:
        from ptxbench.cli._blocks import open_console
        from ptxbench.terminal.model import ModelAudit

        open_console().print(ModelAudit(points, measured))
    return 3 if any(point.over_floor < 1 for point in points) else 0


def readable(results: Path) -> Iterator[RunDocument]:
    """Every saved run below the folder that can be read; the others are named on stderr."""
    from ptxbench.saved_runs import read_run, saved_runs

    for path in saved_runs(results):
        try:
            yield read_run(path)
        except ResultError as error:
            say(f"Skipped: {error}", err=True)
