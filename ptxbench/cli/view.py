"""`ptxbench view RUN`: prints a recorded run or sweep again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptxbench.cli._files import json_option, outputs_option, results_option
from ptxbench.cli._given import refuse
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._selection import columns_option, reference_option, require_row
from ptxbench.cli._terminal import say

if TYPE_CHECKING:
    from ptxbench.exit_status import ExitStatus
    from ptxbench.metrics import Metric
    from ptxbench.result import RunDocument

OF_A_RUN = ("columns", "reference")
OF_A_SWEEP = ("metric", "kernels")
"""The options that have no effect on the other kind."""


@click.command("view", short_help="Print a recorded run or sweep again.")
@click.argument("recorded", metavar="[RUN]", default="latest")
@columns_option("For a run: show these metrics, such as time,sass; as for `ptxbench run`.")
@reference_option("For a run: compare the hand-written PTX with this row; as for `ptxbench run`.")
@click.option(
    "--metric", metavar="NAME", help="For a sweep: the metric that decides the best point; as for `ptxbench tune`."
)
@kernels_option(
    "For a sweep: take its pair from this folder, which holds pairs/, cuda/ and ptx/. Its pair file is executed."
)
@json_option("Print what `run --json` or `tune --json` prints, and nothing else, on stdout.")
@outputs_option(
    "Write a run to FILE too, in the format of its suffix: .json, .csv or .md; or the curves of a sweep: .svg or "
    ".json; repeat."
)
@results_option("Look for runs and sweeps below this folder.")
def command(
    recorded: str,
    columns: str | None,
    reference: str | None,
    metric: str | None,
    kernels: Path,
    as_json: bool,
    outputs: tuple[Path, ...],
    results: Path,
) -> int:
    """Print the recorded RUN again: the tables of `ptxbench run`, or the curves of `ptxbench tune`.

    RUN is a file, the start of a file's name or of an id, `latest` (the default), or `latest~1` for the run or sweep
    before it. No kernel is executed: all numbers are computed again from the recorded samples and counts. The figures
    of a sweep are computed by its pair.

    Exit status: 0 all verified, 2 usage or a file that cannot be read, 4 a wrong or broken kernel, 5 nothing could be
    verified, the GPU failed, or an instruction that the emulator does not support, 130 RUN was interrupted.
    """
    from ptxbench.metrics import choose_columns
    from ptxbench.saved_runs import RUNS_AND_SWEEPS, find_run, read_run

    metrics = choose_columns(columns)  # an unknown name is reported before anything is read
    path = find_run(recorded, results, RUNS_AND_SWEEPS)
    run = read_run(path)
    if run.run.sweep is not None:
        refuse(f"{path} is a sweep.", OF_A_RUN)
        return view_sweep(path, run, kernels, metric, outputs, as_json=as_json)
    refuse(f"{path} is a run, not a sweep.", OF_A_SWEEP)
    require_row(reference, {name for cell in run.cells for name in cell.variants})
    return view_run(run, metrics, reference, outputs, as_json=as_json)


def view_run(
    run: RunDocument, metrics: Sequence[Metric], reference: str | None, outputs: Sequence[Path], *, as_json: bool
) -> ExitStatus:
    """Print a run of pairs as it was printed, and write it to `outputs`; its exit status."""
    from ptxbench.cli._blocks import Blocks
    from ptxbench.cli._saving import OutputFiles
    from ptxbench.exporters import run_exporters
    from ptxbench.exporters.listing import findings_of_run
    from ptxbench.metrics import REFERENCE
    from ptxbench.result import to_json
    from ptxbench.runner import CellDone, RunOutcome

    files = OutputFiles(outputs, run_exporters(reference))
    blocks = Blocks(metrics, reference, quiet=as_json)
    for cell, following in zip(run.cells, [*run.cells[1:], None], strict=True):
        blocks.add(CellDone(cell, last=following is None or following.pair != cell.pair))
    blocks.finish(run.run.timed_on)
    if as_json:
        say(to_json(run, findings=findings_of_run(run, reference or REFERENCE)), nl=False)
    files.write(run)
    return RunOutcome(list(run.cells), run.run.status).exit_status


def view_sweep(
    path: Path, run: RunDocument, kernels: Path, metric: str | None, outputs: Sequence[Path], *, as_json: bool
) -> ExitStatus:
    """Draw a sweep, read from `path`, and write its curves to `outputs`; its exit status."""
    from ptxbench.cli._saving import OutputFiles
    from ptxbench.cli._sweep import exit_status, recorded_sweep, show
    from ptxbench.exporters.curves import EXPORTERS
    from ptxbench.tune import spec_of

    files = OutputFiles(outputs, EXPORTERS)
    sweep_curves = recorded_sweep(path, run, kernels, metric)
    if (run.run.sweep or {}).get("files_sha256") != spec_of(sweep_curves.swept)["files_sha256"]:
        say("The files of the pair have changed since the sweep; the values were measured with the old ones.", err=True)
    show(sweep_curves, run, as_json=as_json, files=files)
    return exit_status(sweep_curves, run.run.status)
