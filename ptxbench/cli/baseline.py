"""`ptxbench baseline`: the runs with which a gate compares others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptxbench.cli._baselines import baselines_option, load_baseline
from ptxbench.cli._files import json_option, results_option
from ptxbench.cli._terminal import say
from ptxbench.errors import UsageError

if TYPE_CHECKING:
    from ptxbench.result import RunDocument


@click.group("baseline", short_help="Set, show or check the baselines of the gate.")
def command() -> None:
    """Set, show or check baselines: the runs that `ptxbench gate` compares with.

    A baseline is one small file for each device, to be committed and reviewed.

    Exit status: 0 good, 2 usage, or a run that cannot be a baseline.
    """


@command.command("set")
@click.argument("run")
@click.option("--reason", required=True, metavar="TEXT", help="Why the baseline is set, for the readers of the file.")
@results_option()
@baselines_option()
def set_command(run: str, reason: str, results: Path, baselines: Path) -> None:
    """Make RUN the baseline of its device.

    RUN is a file, the start of a file's name or of an id, `latest` or `latest~1`. These runs are refused: with
    kernels that are not committed, or that are wrong or broken; incomplete; BIASED; or timed in fewer than five
    rounds.
    """
    from ptxbench.output_files import write
    from ptxbench.saved_runs import load_run
    from ptxbench.verdict.baseline import baseline_path, baseline_text

    if not reason.strip():
        raise UsageError("The reason is empty. Say why the baseline changes: its reviewers need the reason.")
    loaded = load_run(run, results)
    path = baseline_path(loaded, baselines)
    text = baseline_text(loaded, reason, datetime.now(UTC).date())
    compared = changes(loaded, baselines) if path.exists() else "It is the first baseline of this device."
    write(text, path, replace=True)
    say(f"Wrote {path}. {compared}")


@command.command("check", short_help="Report whether a run could be the baseline.")
@click.argument("run", default="latest")
@results_option()
@baselines_option()
def check_command(run: str, results: Path, baselines: Path) -> None:
    """Report whether RUN could be the baseline of its device, and what would change; write nothing."""
    from ptxbench.saved_runs import load_run
    from ptxbench.verdict.baseline import baseline_path, baseline_text

    loaded = load_run(run, results)
    baseline_text(loaded, "check", datetime.now(UTC).date())
    path = baseline_path(loaded, baselines)
    say(f"Run {loaded.run.id} can be {path}. {changes(loaded, baselines)}")


@command.command("show", short_help="List the baselines.")
@json_option("Print them as JSON, and nothing else, on stdout.")
@baselines_option()
def show_command(as_json: bool, baselines: Path) -> None:
    """List the baselines: of which device, run, commit and tools, since when and why."""
    from ptxbench.cli._blocks import open_console
    from ptxbench.exporters.baselines import about, to_json
    from ptxbench.terminal.baselines import baselines_table
    from ptxbench.verdict.baseline import set_command

    summaries = [about(path) for path in sorted(baselines.glob("*.json"))]
    if as_json:
        say(to_json(summaries), nl=False)
    elif summaries:
        open_console().print(baselines_table(summaries))
    else:
        raise UsageError(f"There is no baseline in {baselines}. Make one: {set_command('RUN', baselines)}.")


def changes(run: RunDocument, baselines: Path) -> str:
    """The gate's result for the run against the present baseline, in a sentence."""
    from ptxbench.verdict.config import GateConfig
    from ptxbench.verdict.gate import gate

    before = load_baseline(run, baselines)
    if before is None:
        return "The device has no baseline yet."
    counts = ", ".join(f"{count:,} {verdict}" for verdict, count in gate(run, before, GateConfig()).counts.items())
    return f"Compared with the current baseline: {counts or 'no rows'}."
