"""`ptxbench history`: the saved runs as series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ptxbench.cli._files import json_option, results_option
from ptxbench.cli._saved import saved, warn_unreadable
from ptxbench.cli._terminal import say
from ptxbench.exit_status import ExitStatus


@click.command("history", short_help="Show metrics over all saved runs.")
@click.argument("pairs", metavar="[PAIR]...", nargs=-1)
@click.option(
    "--metric",
    metavar="NAME",
    help="Show this metric, such as time, registers or sass.LDG.  [default: ratio and time where there are "
    "times, else the counters that the gate judges]",
)
@click.option("--last", type=click.IntRange(1), metavar="N", default=40, help="Show the last N values of each series.")
@json_option("Print every value as JSON, and nothing else, on stdout.")
@results_option()
def command(pairs: tuple[str, ...], metric: str | None, last: int, as_json: bool, results: Path) -> int:
    """Show each metric of PAIRs over all saved runs: by variant and by device.

    PAIRs are names or globs; by default every pair. Where a series changes, the runs before and after the change
    are named, with their commits. This dates a change; it is not a verdict and does not affect the exit status.

    Exit status: 0 good, 2 usage, 5 no saved run, or none with this metric.
    """
    from ptxbench.cli._blocks import open_console
    from ptxbench.exporters.history import to_json
    from ptxbench.terminal.history import HistoryTable
    from ptxbench.verdict.history import SeriesCollection, choose_metric

    collection = SeriesCollection(choose_metric(metric) if metric else None)
    unreadable: list[str] = []
    for run in saved(results, unreadable):
        collection.add(run)
    warn_unreadable(unreadable)
    if not collection.runs:
        return no_saved_runs(
            f"No run is saved below {results}. Make one with ptxbench run, or give the folder of runs with --results."
        )
    series = collection.series(pairs, last)
    if not series:
        missing = f"the metric '{metric}'" if metric else "a verified kernel"
        return no_saved_runs(f"No saved run has {missing}{of_pairs(pairs)}.")
    if as_json:
        say(to_json(series, collection.unjudged, unreadable), nl=False)
    else:
        open_console().print(HistoryTable(series, collection.unjudged, quiet=not (pairs or metric)))
    return 0


def no_saved_runs(why: str) -> int:
    say(why, err=True)
    return ExitStatus.NO_VERDICT


def of_pairs(pairs: Sequence[str]) -> str:
    return f" of {', '.join(pairs)}" if pairs else ""
