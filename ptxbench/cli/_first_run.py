"""`ptxbench doctor --first-run`: the tests of a new GPU, printed and saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ptxbench.cli._calibrate import WIDEST, gpu_calibration_suite, show
from ptxbench.cli._terminal import say
from ptxbench.exit_status import ExitStatus
from ptxbench.firstrun import sequence
from ptxbench.firstrun.record import COMPLETE, FirstRun, to_json
from ptxbench.firstrun.steps import STEPS, FirstRunSetup
from ptxbench.output_files import require_writable
from ptxbench.profiling.counters import Agreement


def first_run(results: Path, kernels: Path, *, as_json: bool) -> int:
    """Do the remaining steps and print the results of all; return the exit status."""
    from ptxbench.backends import open_backend
    from ptxbench.runner.document import folder_name
    from ptxbench.terminal.console import SafeConsole

    suite = gpu_calibration_suite("--first-run")
    folder = results / folder_name(suite.device.name)
    require_writable(folder, "Name another folder with --results.")
    started = suite.host.now()
    console = SafeConsole(stderr=True)
    interrupted = False
    with console.status("") as status:
        setup = FirstRunSetup(
            suite,
            open_backend("emulator", suite.device.sm),
            kernels,
            folder,
            lambda: suite.host.now() - started > sequence.SECONDS,
            status.update,
        )
        setup.pair_plans()  # a folder without pairs is reported before the work, not after it
        progress = sequence.begin(setup)
        if progress.steps:
            say(f"Resuming the first run of {progress.started}: {steps_done(progress)} done.", err=True)
        try:
            for latest in sequence.run_steps(progress, setup):
                progress = latest
        except KeyboardInterrupt:
            interrupted = True
    if as_json:
        say(to_json(progress), nl=False)
    else:
        show(progress.lines)
        show_counters([counter for step in progress.steps for counter in step.counters])
    return ending(progress, folder, interrupted=interrupted)


def steps_done(run: FirstRun) -> str:
    """`2 of 4 steps are`."""
    return f"{len(run.steps)} of {len(STEPS)} steps {'is' if len(run.steps) == 1 else 'are'}"


def ending(run: FirstRun, folder: Path, *, interrupted: bool) -> int:
    """Print where the results are saved and how many steps are done; return the exit status."""
    from ptxbench.firstrun.record import NAME

    if run.steps:
        files = [NAME, *(name for step in run.steps for name in step.files)]
        say(f"Saved {', '.join(str(folder / name) for name in files)}", err=True)
    if run.status != COMPLETE:
        why = "Interrupted" if interrupted else f"{sequence.SECONDS / 60:g} minutes are over"
        say(f"{why}: {steps_done(run)} done. Run the same command again to resume.", err=True)
    if interrupted:
        return ExitStatus.INTERRUPTED
    if run.failed:
        say("A check failed: fix it, then run this again.", err=True)
    return ExitStatus.NO_VERDICT if run.failed or run.status != COMPLETE else ExitStatus.GOOD


def show_counters(agreements: Sequence[Agreement]) -> None:
    """Print the counts of the emulator next to those of the GPU, if there are any."""
    import os
    import sys

    from ptxbench.terminal.console import SafeConsole
    from ptxbench.terminal.profile import agreement_table

    if agreements:
        wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDEST
        console = SafeConsole(width=wide)
        console.print("\nCounts of the emulator and of the GPU, of one launch each:")
        console.print(agreement_table(agreements))
