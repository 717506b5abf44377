"""`ptxbench gate audit`: how often the gate is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptxbench.cli._dask import dask_option, dask_pool
from ptxbench.cli._files import config_option, json_option
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._selection import pairs_option, variants_option
from ptxbench.cli._terminal import say

if TYPE_CHECKING:
    from ptxbench.audit.outcome import AuditOutcome
    from ptxbench.audit.stored import StoredDevice
    from ptxbench.audit.tally import TallyLine
    from ptxbench.cli._progress import Bar
    from ptxbench.verdict.config import GateConfig


@click.command("audit")
@click.option("--synthetic", is_flag=True, help="Test the rules of ratios and times on seeded noise, without a GPU.")
@click.option(
    "--mutants",
    is_flag=True,
    help="Test the rules of counters on edited pairs: each is made worse in a known way, or edited without effect.",
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Test the rules of ratios and times on the saved runs below this folder, each compared with the others: "
    "how often your GPU raises an alarm on unchanged code.",
)
@click.option(
    "--suites",
    type=click.IntRange(1),
    default=300,
    metavar="N",
    help="Draw N suites of 24 kernels with each kind of noise; 300 suites without an alarm show a rate below 1 %.",
)
@click.option("--seed", type=click.IntRange(0), default=1, metavar="N", help="Draw the noise from this seed.")
@config_option("Test the budgets, alpha and rounds of this file's [gate].  [default: those of ptxbench]")
@pairs_option("Edit only this pair, by name or glob; repeat.")
@variants_option("Edit only this variant, by name or glob; repeat.")
@click.option("--edit", "edits", metavar="NAME", multiple=True, help="Make only this edit, by name or glob; repeat.")
@click.option("--arch", metavar="SM", help="Build the edited pairs for this architecture.  [default: sm_90]")
@kernels_option("Edit the pairs of this folder.")
@dask_option("edited files")
@json_option("Print what was found as JSON, and nothing else, on stdout.")
def command(
    synthetic: bool,
    mutants: bool,
    runs: Path | None,
    suites: int,
    seed: int,
    config_path: Path | None,
    pairs: tuple[str, ...],
    variants: tuple[str, ...],
    edits: tuple[str, ...],
    arch: str | None,
    kernels: Path,
    dask: str | None,
    as_json: bool,
) -> int:
    """Measure how often the gate is wrong, by its own rules: false alarms, misses, and what it cannot decide.

    Without --synthetic, --mutants and --runs, the first two are done.

    Exit status: 0 every target is met, 2 usage, 3 a target is not met, a mutant was missed or an edit without
    effect raised an alarm, 4 a kernel cannot be read as PTX, 5 too few runs for an audit, or no pair to edit, 130
    interrupted.
    """
    from ptxbench.audit.audit import Audit
    from ptxbench.cli._progress import Bar
    from ptxbench.exporters.audit import to_json
    from ptxbench.verdict.config import GateConfig, load_config

    config = load_config(config_path) if config_path else GateConfig()
    if not (synthetic or mutants or runs):
        synthetic = mutants = True
    with Bar() as bar:
        stored = audit_stored(runs, config, bar) if runs else None  # first: reports too few runs at once
        audit = Audit(
            suites,
            seed,
            synthetic=audit_noise(config, suites, seed, bar) if synthetic else None,
            stored=stored,
            outcomes=edit_pairs(kernels, arch, pairs, edits, variants, dask, bar) if mutants else None,
        )
    if as_json:
        say(to_json(audit), nl=False)
    else:
        from ptxbench.cli._blocks import open_console
        from ptxbench.terminal.audit import AuditTable

        open_console().print(AuditTable(audit))
    return audit.exit_status


def audit_noise(config: GateConfig, suites: int, seed: int, bar: Bar) -> list[TallyLine]:
    from ptxbench.audit.synthetic import audit_synthetic

    return audit_synthetic(config, suites, seed, bar.update)


def audit_stored(folder: Path, config: GateConfig, bar: Bar) -> list[tuple[StoredDevice, list[TallyLine]]]:
    """The result for every GPU model with enough runs; the other models are named on stderr."""
    from ptxbench.audit.stored import audit_runs, devices
    from ptxbench.saved_runs import read_run, saved_runs

    stored = devices([read_run(path) for path in saved_runs(folder)])
    for device in stored:
        if not device.enough:
            say(f"Skipped, not enough runs: {device}.", err=True)
    return [(device, audit_runs(device, config, bar.update)) for device in stored if device.enough]


def edit_pairs(
    kernels: Path,
    arch: str | None,
    pairs: tuple[str, ...],
    edits: tuple[str, ...],
    variants: tuple[str, ...],
    dask: str | None,
    bar: Bar,
) -> list[AuditOutcome]:
    from ptxbench.audit.mutants import audit_mutants, count_mutants

    total = count_mutants(kernels, pairs, edits, variants)
    bar.update(0, total, "edits")
    done = 0

    def on_report(number: int, outcome: AuditOutcome) -> None:
        nonlocal done
        done += 1
        bar.update(min(done, total), total, f"{outcome.pair}, {outcome.edit}")  # an edit on a lost worker is done again

    with dask_pool(dask, [kernels]) as pool:
        return list(audit_mutants(kernels, arch, pairs, edits, variants, pool, on_report))
