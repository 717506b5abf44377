"""`ptxbench doctor`: what is installed, whether it works, and how to fix what does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ptxbench.cli._files import json_option, results_option
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._terminal import say
from ptxbench.errors import ToolMissing, UsageError

if TYPE_CHECKING:
    from ptxbench.doctor import PartStatus

WIDEST = 100


@click.command("doctor", short_help="Report what is installed and what works.")
@kernels_option("Examine this folder of pairs.", callback=None)
@click.option(
    "--calibrate",
    "calibrating",
    is_flag=True,
    help="Calibrate the GPU instead: check that its timings can be trusted, and choose the settings that they "
    "need. Takes some minutes; nothing else should use the GPU then.",
)
@click.option(
    "--first-run",
    "first",
    is_flag=True,
    help="Test a new GPU, in ten minutes: the calibration, a quick run of some pairs, and whether the "
    "emulator's bits and counts agree with the hardware. Ctrl-C keeps what is done; the same command "
    "resumes.",
)
@results_option(
    "Save the calibration below this folder as DEVICE/calibration.json, where runs find it, and the first run "
    "as DEVICE/first-run.json."
)
@json_option("Print a JSON object, and nothing else, on stdout.")
@click.pass_context
def command(
    context: click.Context, kernels: Path, calibrating: bool, first: bool, results: Path, as_json: bool
) -> int | None:
    """Report what is installed, whether it works, and how to fix what does not.

    One small kernel is compiled, assembled, disassembled and run. A missing part disables only what needs it:
    without a GPU there are no times, without NVRTC the CUDA C sides are skipped.

    Exit status: 0 the emulator works, so that kernels can be verified; 2 it does not. With --calibrate and
    --first-run: 0 good, 2 no GPU, 5 a check failed, or time ran out before the last step; 130 interrupted.
    """  # fmt: skip
    Path.cwd()  # no part is to blame if the current folder does not exist any more
    if calibrating and first:
        raise UsageError("--first-run calibrates too. Leave out --calibrate.")
    if first:
        from ptxbench.cli._first_run import first_run

        return first_run(results, kernels, as_json=as_json)
    if calibrating:
        from ptxbench.cli._calibrate import calibrate

        return calibrate(results, as_json=as_json)
    if context.get_parameter_source("results") is not ParameterSource.DEFAULT:
        raise UsageError("--results needs --calibrate or --first-run.")
    from ptxbench.doctor import EMULATOR, WORKS, examine

    findings = list(examine(kernels))
    emulator = next(finding for finding in findings if finding.subject == EMULATOR)
    if as_json:
        from ptxbench.exporters.doctor import to_json

        say(to_json(findings, works=emulator.status == WORKS), nl=False)
    else:
        show(findings)
    if emulator.status != WORKS:
        raise ToolMissing(f"The emulator does not work, so no kernel can be verified. {emulator.advice}")
    return None


def show(findings: Sequence[PartStatus]) -> None:
    """Print one row per finding, then the advice."""
    import os
    import sys

    from ptxbench.terminal.checklist import checklist_table
    from ptxbench.terminal.console import SafeConsole
    from ptxbench.terminal.prose import Prose

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDEST
    console = SafeConsole(width=wide)
    width = min(console.width, WIDEST)
    console.print(checklist_table(findings), width=width)
    if advised := [finding for finding in findings if finding.advice]:
        console.print("\nWhat to do:")
        for check in advised:
            console.print(Prose(f"  {check.subject}: {check.advice}"), width=width)
