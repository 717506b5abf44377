"""`ptxbench gate`: judges a run in CI."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ptxbench.cli._baselines import BASELINE, baselines_option, load_baseline
from ptxbench.cli._files import config_option, json_option, outputs_option, results_option
from ptxbench.cli._given import refuse
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._selection import pairs_option
from ptxbench.cli._terminal import say
from ptxbench.errors import ResultError
from ptxbench.exit_status import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ptxbench.result import RunDocument
    from ptxbench.verdict import Mode
    from ptxbench.verdict.gate import Gate


class GateCommand(click.Command):
    """The gate, which takes a run, and `gate audit`, which takes none.

    Not a click group: the first argument of a group is the name of a command, but the first argument of the gate is a
    run.
    """

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] == ["audit"]:
            from ptxbench.cli._audit import command as audit

            return audit.make_context(f"{info_name} audit", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(
    "gate",
    short_help="Judge a run by a baseline and the rules.",
    cls=GateCommand,
    epilog="`ptxbench gate audit` measures how often the gate is wrong; see its --help.",
)
@click.argument("head", required=False)
@click.option(
    "--base",
    metavar="RUN",
    default=BASELINE,
    help="Compare HEAD with this run: a file, the start of a file's name or of an id, `latest`, `latest~1`, "
    "or `baseline`, the committed run of its device.",
)
@click.option(
    "--mode",
    "modes",
    type=click.Choice(["ratio", "time", "counters"]),
    multiple=True,
    help="What to gate; repeat. The gate fails (5) if a mode that you name gives no verdict.  [default: as "
    "the config says, else counters, and ratio where HEAD has times]",
)
@config_option(
    "Take the rules from this file, or from [tool.ptxbench] of a pyproject.toml.  [default: "
    "ptxbench.toml or pyproject.toml, if it has rules]"
)
@click.option(
    "--confirm",
    "confirms",
    is_flag=True,
    help="Run the failing and the undecided rows once more, in a run that is saved and judged together with "
    "HEAD. Rows that are already confirmed are not run again. The kernels must be those of HEAD.",
)
@click.option("--dump-config", is_flag=True, help="Print the rules in effect as a config, and judge nothing.")
@outputs_option("Write the verdicts to FILE too: .json, .md, .xml (JUnit) or .sarif; repeat.")
@json_option("Print the verdicts as JSON, and nothing else, on stdout.")
@pairs_option("Judge only this pair, by name or glob; repeat.")
@click.option("--arch", metavar="SM", help="Without HEAD: build for this architecture.  [default: sm_90]")
@kernels_option("Run the pairs of this folder only, without HEAD and with --confirm.")
@results_option("Look for runs below this folder, and save there.")
@baselines_option()
def command(
    head: str | None,
    base: str,
    modes: tuple[Mode, ...],
    config_path: Path | None,
    confirms: bool,
    dump_config: bool,
    outputs: tuple[Path, ...],
    as_json: bool,
    pairs: tuple[str, ...],
    arch: str | None,
    kernels: Path,
    results: Path,
    baselines: Path,
) -> int:
    """Judge the run HEAD by a baseline and the rules of ptxbench.toml, or of [tool.ptxbench] in pyproject.toml.

    HEAD is a file, the start of a file's name or of an id, `latest` or `latest~1`. Without HEAD every pair is run
    first, on the emulator: no GPU is needed to gate counters. In GitHub Actions a job summary and annotations are
    written.

    \b
    Exit status; if several apply, the first of 2, 4, 3, 5, 0:
      0  at least one row was judged, and all that is gated is within its limits, or waived
      1  ptxbench crashed; this is not a verdict
      2  usage, a faulty config, an expired waiver, a file that cannot be read or is too new
      3  a regression: a ratio, a time or a counter beyond its budget or limit
      4  a kernel is wrong or broken, and was not so in the baseline
      5  no verdict: a row is missing, not comparable, wrong in both or not measurable; nothing was
         judged; a row is INCONCLUSIVE or has no baseline, and the config says fail
      130  interrupted
      141  the reader of the output closed the pipe; this is not a verdict
    """
    from dataclasses import replace

    from ptxbench.cli._confirm import confirm
    from ptxbench.cli._saving import OutputFiles
    from ptxbench.discovery import select
    from ptxbench.exporters.gate import EXPORTERS, to_json
    from ptxbench.result import INTERRUPTED
    from ptxbench.saved_runs import load_run
    from ptxbench.verdict.config import dump, load_config
    from ptxbench.verdict.gate import gate

    config = replace(load_config(config_path), baselines=baselines)
    if modes:
        config = replace(config, modes=tuple(dict.fromkeys(modes)))
    if dump_config:
        refuse("--dump-config prints the rules and judges nothing.", ("as_json", "outputs", "confirms"))
        say(dump(config), nl=False)
        return 0
    if head:
        refuse("--arch is for the run that is made without HEAD.", ("arch",))
    config.require_live(datetime.now(UTC).date())
    files = OutputFiles(outputs, EXPORTERS)
    # before the pairs run, so that a base that cannot be read is reported at once
    base_run = None if base == BASELINE else load_run(base, results)
    run = load_run(head, results) if head else make_run(kernels, arch, results, None if base_run else baselines, pairs)
    if run.run.status == INTERRUPTED and head is None:
        return ExitStatus.INTERRUPTED
    base_run = base_run or load_baseline(run, baselines)
    if pairs:
        names = set(select(tuple(pairs_of([run, base_run])), pairs, "pair"))
        run, base_run = only_pairs(run, names), base_run and only_pairs(base_run, names)
        config = config.of_pairs(names)
    judged = gate(run, base_run, config)
    if confirms:
        confirmed = confirm(judged, kernels, results)
        if confirmed is None:
            return ExitStatus.INTERRUPTED
        judged = confirmed
    if as_json:
        say(to_json(judged), nl=False)
    else:
        show(judged)
    files.write(judged)
    write_annotations(judged)
    return judged.exit_status


def make_run(
    kernels: Path, arch: str | None, results: Path, baselines: Path | None, pairs: tuple[str, ...] = ()
) -> RunDocument:
    """Run these pairs, or without names all of them, on the emulator, and save the run.

    Raises the error that stopped the run; for a damaged baseline ResultError before the run.
    """
    from ptxbench.cli._saving import save_somewhere
    from ptxbench.cli.run import make_plan, perform
    from ptxbench.output_files import require_writable
    from ptxbench.runner import RunFrame, document

    plan = make_plan(
        pairs=pairs,
        variants=(),
        sizes=(),
        backend_name="emulator",
        arch=arch,
        assembler="toolkit",
        kernels=kernels,
        seed=1,
    )
    frame = RunFrame(plan, plan.backend.device())
    if baselines:
        load_baseline(document(frame, [], "complete"), baselines)
    folder = results / frame.folder
    require_writable(folder, "Name another folder with --results.")
    done = perform(frame, (), quiet=True)
    run = document(frame, done.cells, done.status)
    failures = [save_somewhere(run, folder, printed=True) if done.cells else None, done.error]
    for failure in filter(None, failures):
        raise failure
    return run


def show(judged: Gate) -> None:
    from ptxbench.cli._blocks import open_console
    from ptxbench.terminal.gate import GateTable

    open_console().print(GateTable(judged))


def write_annotations(judged: Gate) -> None:
    """Write summary and annotations in a job of GitHub Actions. On stderr, because stdout may be JSON."""
    from ptxbench.exporters.github import annotate, summary

    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in annotate(judged, folder_in_repository()):
            click.echo(line, err=True)  # a command, made of safe text
    if summary_file := os.environ.get("GITHUB_STEP_SUMMARY"):
        path = Path(summary_file)
        try:
            used_bytes = path.stat().st_size if path.exists() else 0
            with path.open("a", encoding="utf-8") as file:
                file.write(summary(judged, used_bytes))
        except OSError as error:
            raise ResultError(f"Cannot write {path}, which GITHUB_STEP_SUMMARY names: {error.strerror}.") from None


def folder_in_repository() -> str:
    """The current folder below the checkout of a job of GitHub Actions, with a slash at its end; empty for its root."""
    root = os.environ.get("GITHUB_WORKSPACE")
    try:
        path = Path.cwd().relative_to(Path(root).resolve()).as_posix() if root else "."
    except (OSError, ValueError):  # the current folder is outside the checkout
        return ""
    return "" if path == "." else f"{path}/"


def only_pairs(run: RunDocument, names: set[str]) -> RunDocument:
    """The run with only the cells of these pairs."""
    from dataclasses import replace

    return replace(run, cells=[cell for cell in run.cells if cell.control or cell.pair in names])


def pairs_of(runs: Sequence[RunDocument | None]) -> list[str]:
    return list(dict.fromkeys(cell.pair for run in runs if run for cell in run.cells if not cell.control))
