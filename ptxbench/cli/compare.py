"""`ptxbench compare`: what changed between two runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ptxbench.cli._files import json_option, outputs_option, results_option
from ptxbench.cli._terminal import say

if TYPE_CHECKING:
    from ptxbench.verdict import Comparison


def share(context: click.Context, option: click.Parameter, text: str) -> float:
    """`5%` or `0.05`, as the number."""
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(%?)", text.strip())
    value = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < value < 1:
        raise click.BadParameter(f"'{text}' is not a share between 0 and 100 %. Write 5% or 0.05.")
    return value


@click.command("compare", short_help="Compare two runs, row by row.")
@click.argument("base")
@click.argument("head", default="latest")
@click.option(
    "--metric",
    type=click.Choice(["ratio", "time", "counters"]),
    help="What to compare: the ratio of the time to that of the cuda row, the time, or the counts of the tools and the "
    "emulator.  [default: ratio if both runs have times, else counters]",
)
@click.option(
    "--budget",
    callback=share,
    default="5%",
    metavar="SHARE",
    help="Ignore changes of a ratio or a time up to this share. Counts are compared exactly.",
)
@outputs_option("Write the comparison to FILE too, in the format of its suffix: .json, .csv or .md; repeat.")
@json_option("Print the comparison as JSON, and nothing else, on stdout.")
@results_option()
def command(
    base: str,
    head: str,
    metric: Literal["ratio", "time", "counters"] | None,
    budget: float,
    outputs: tuple[Path, ...],
    as_json: bool,
    results: Path,
) -> None:
    """Compare the runs BASE and HEAD, row by row.

    A run is a file, the start of a file's name or of an id, `latest`, or `latest~1` for the run before it. HEAD is
    `latest` by default. A row is REGRESSED or IMPROVED if the interval of its change proves it, and
    NO-REGRESSION if the interval proves that any change is smaller than the budget. Otherwise
    it is INCONCLUSIVE, with the number of rounds that would decide it. Rows with the same machine code are controls.

    Exit status: 0 for any change, 2 a run that cannot be found, read or compared.
    """
    from ptxbench.cli._saving import OutputFiles
    from ptxbench.exporters.comparison import EXPORTERS, to_json
    from ptxbench.saved_runs import load_run
    from ptxbench.verdict import Rule, compare

    files = OutputFiles(outputs, EXPORTERS)
    runs = load_run(base, results), load_run(head, results)
    comparison = compare(*runs, metric, Rule(budget=budget))
    if as_json:
        say(to_json(comparison), nl=False)
    else:
        show(comparison)
    files.write(comparison)


def show(comparison: Comparison) -> None:
    from ptxbench.cli._blocks import open_console
    from ptxbench.terminal.comparison import ComparisonTable

    open_console().print(ComparisonTable(comparison))
