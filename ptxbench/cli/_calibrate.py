"""`ptxbench doctor --calibrate`: the calibration of a GPU, printed and saved."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ptxbench.calibration.assessment import CheckResult
from ptxbench.calibration.suite import CalibrationSuite
from ptxbench.cli._terminal import say
from ptxbench.errors import ToolMissing
from ptxbench.exit_status import ExitStatus
from ptxbench.output_files import require_writable

WIDEST = 100


def gpu_calibration_suite(option: str = "--calibrate") -> CalibrationSuite:
    """The calibration suite of the local GPU. Raises ToolMissing, which names `option`, if there is no GPU."""
    from ptxbench.backends import gpu
    from ptxbench.backends.device_errors import WITHOUT_TIMING
    from ptxbench.backends.gpu_probes import GpuProbe

    backend = gpu.GpuBackend()
    if reason := backend.unavailable():
        fault = reason.removesuffix(WITHOUT_TIMING).strip()
        raise ToolMissing(f"{fault} {option} needs a GPU: run it on a machine that has one.")
    return CalibrationSuite(backend, GpuProbe(backend))


def calibrate(results: Path, *, as_json: bool) -> int:
    """Calibrate, save the record below `results` and print it; return the exit status."""
    from ptxbench.calibration.record import FILE, to_json
    from ptxbench.runner.document import folder_name

    suite = gpu_calibration_suite()
    folder = results / folder_name(suite.device.name)
    require_writable(folder, "Name another folder with --results.")
    perform(suite)
    record = suite.record()
    try:
        if as_json:
            say(to_json(record), nl=False)
        else:
            show(record.lines)
    finally:  # also if stdout cannot be written to
        say(f"Saved {FILE.save(record, folder)}", err=True)
    if record.forbids_timing:
        say("A check failed: do not trust times of this device until it is fixed.", err=True)
    return ExitStatus.NO_VERDICT if record.forbids_timing else ExitStatus.GOOD


def perform(suite: CalibrationSuite) -> None:
    """Run every check, and show on a terminal which one is running."""
    from ptxbench.terminal.console import SafeConsole

    console = SafeConsole(stderr=True)
    checks = suite.checks
    with console.status("") as status:
        for number, check in enumerate(checks, 1):
            status.update(f"{check.subject}, {number} of {len(checks)}")
            suite.run_check(check)


def show(lines: Sequence[CheckResult]) -> None:
    """Print one row per check result, then the advice."""
    from ptxbench.terminal.checklist import checklist_table
    from ptxbench.terminal.console import SafeConsole

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDEST
    console = SafeConsole(width=wide)
    width = min(console.width, WIDEST)
    console.print(checklist_table(lines), width=width)
    if advised := by_advice(lines):
        console.print("\nWhat to do:")
        for advice, subjects in advised.items():
            console.print(f"  {', '.join(subjects)}: {advice}", width=width)


def by_advice(lines: Sequence[CheckResult]) -> dict[str, list[str]]:
    """The subjects of the lines that have advice, grouped by advice."""
    result: dict[str, list[str]] = {}
    for line in lines:
        if line.advice:
            result.setdefault(line.advice, []).append(line.subject)
    return result
