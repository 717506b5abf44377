"""`ptxbench exec`: launches any kernel once on the emulator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptxbench.cli._files import json_option, outputs_option
from ptxbench.cli._fill_in import no_arguments
from ptxbench.cli._launches import LaunchFlags, launch_options
from ptxbench.cli._sources import source_options
from ptxbench.cli._terminal import say
from ptxbench.errors import KernelError, UsageError, suggestion

if TYPE_CHECKING:
    from ptxbench.arguments import BoundArguments
    from ptxbench.cli._saving import OutputFiles
    from ptxbench.execution import ExecOutcome, SkippedKernel
    from ptxbench.toolchain.options import SourceOptions

SOME_LINES = 10
INTERRUPTED = (
    "Interrupted in the launch. If the kernel never ends, --max-loop-iterations with a smaller number shows where."
)


@click.command("exec", short_help="Launch a kernel of a file on the emulator.")
@click.argument("file", type=click.Path(path_type=Path, readable=False), metavar="FILE")
@source_options("The kernel to launch, if FILE has several")
@launch_options
@click.option(
    "--save",
    "saves",
    multiple=True,
    metavar="NAME=FILE.npy",
    help="Save this array, by name or index, after the launch; repeat.",
)
@click.option("--arch", metavar="SM", help="Run as this architecture.  [default: the .target of PTX, sm_90 for CUDA C]")
@click.option(
    "--lines", metavar="N", default=str(SOME_LINES), help="Show this many lines, the hottest first, or `all`."
)
@click.option(
    "--sort",
    type=click.Choice(["count", "file"]),
    default="count",
    help="The order of these lines: the hottest first, or as in the file.",
)
@outputs_option("Write the result to FILE too, in the format of its suffix: .json or .sarif; repeat.")
@json_option("Print a JSON object, and nothing else, on stdout.")
def command(
    file: Path,
    source: SourceOptions,
    launch: LaunchFlags,
    saves: tuple[str, ...],
    arch: str | None,
    lines: str,
    sort: str,
    outputs: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Launch a kernel of FILE once on the emulator and print what it did.

    FILE is PTX (.ptx), CUDA C (.cu, host code included), or a folder: then every kernel in it that takes the
    arguments is launched. The output: the arrays that changed, the counts, the number of executed machine
    instructions, the hottest lines, and any errors.

    \b
    ptxbench exec saxpy.ptx --grid 64 --block 256 \\
        --arg 'f32[16384]=random' --arg 'f32[16384]=zeros' \\
        --arg f32=2 --arg u32=16384

    Exit status: 0 clean, 2 usage, 4 a fault or a finding, 5 an instruction that the emulator does not support.
    """
    from ptxbench import kernel_names
    from ptxbench.cli._progress import Bar
    from ptxbench.emulator import native
    from ptxbench.exec_program import read_program
    from ptxbench.execution import SkippedKernel, execute, execute_folder, exit_status, status_of, with_executed

    files = output_files(outputs)
    arguments = launch.arguments()
    (exec_launch,) = launch.launches()
    most_lines = line_count(lines)
    to_save = [read_save(text) for text in saves]
    skipped: list[SkippedKernel] = []
    if file.is_dir():
        if to_save:
            raise UsageError("--save is for one kernel, and a folder may have many. Name a file.")
        with Bar() as bar:
            outcomes, skipped = execute_folder(
                file,
                arch,
                source,
                arguments,
                exec_launch,
                lambda number, count, path: bar.update(number, count, f"launch {path.name}"),
            )
    else:
        with Bar() as bar:
            bar.update(0, 2, f"read {file.name}")
            try:
                program = read_program(file, arch, source)
                function = program.choose(source.entry)
            except KernelError as error:  # the files of --output report it too
                files.write([], [SkippedKernel(file, None, str(error), status_of(error), error)])
                raise
            if function.params and not arguments:
                raise UsageError(no_arguments(program, function))
            # before the launch, so that a mistyped name is reported at once
            wanted = which_arrays(program.bind(function, arguments), to_save)
            first_use = ""
            if exec_launch.sanitize and not native.has_event_function():
                first_use = ", after the race detector is compiled: once, 10 to 20 seconds"
            bar.update(1, 2, f"launch {kernel_names.short(function.name)}{first_use}")
            try:
                outcome = execute(program, function, arguments, exec_launch)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(INTERRUPTED) from None
            outcomes = [with_executed(outcome)]
        save(outcomes[0], wanted)
    if as_json:
        from ptxbench.exporters.outcome import to_json

        say(to_json(outcomes, skipped), nl=False)
    else:
        show(outcomes, skipped, folder=file.is_dir(), most_lines=most_lines, in_file_order=sort == "file")
    files.write(outcomes, skipped)
    return exit_status(outcomes, skipped)


def output_files(outputs: Sequence[Path]) -> OutputFiles:
    """The files of --output. Their exporters take 0.2 s to load, so a command without such files does not load them."""
    from ptxbench.cli._saving import OutputFiles

    if not outputs:
        return OutputFiles((), {})
    from ptxbench.exporters.execution import EXPORTERS

    return OutputFiles(outputs, EXPORTERS)


def line_count(text: str) -> int | None:
    """The number of lines that --lines names; None for `all`. Raises UsageError for another text."""
    if text == "all":
        return None
    if not re.fullmatch(r"\d{1,18}", text, re.A):
        raise UsageError(f"--lines is '{text}'; write a number, or all.")
    return int(text)


def read_save(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise UsageError(f"--save is '{text}'; write NAME=FILE.npy, with a parameter's name or index.")
    if not path.endswith(".npy"):
        raise UsageError(f"--save is '{text}'; the file's name must end in .npy.")
    if not Path(path).parent.is_dir():
        raise UsageError(f"--save is '{text}'; there is no folder {Path(path).parent}.")
    return name, Path(path)


def which_arrays(bound: Sequence[BoundArguments], saves: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """The arrays that --save names, by their full names."""
    from ptxbench.arguments import find, names

    array_names = names(bound)
    result: list[tuple[str, Path]] = []
    for name, path in saves:
        array = find(name, array_names, bound)
        if array is None:
            text = suggestion(name, array_names) or (f" There are {', '.join(array_names)}." if array_names else "")
            raise UsageError(f"--save: there is no array '{name}'.{text}")
        if other := next((other for other, taken in result if taken == path and other != array), None):
            raise UsageError(f"--save names {path} for '{other}' and for '{array}'. Name two files.")
        result.append((array, path))
    return result


def save(outcome: ExecOutcome, wanted: Sequence[tuple[str, Path]]) -> None:
    """Write the wanted arrays to their files. If the kernel was stopped, there are none, and nothing is written."""
    import numpy as np

    arrays = {array.name: array.array for array in outcome.arrays}
    for name, path in wanted if arrays else ():
        try:
            np.save(path, arrays[name])
        except OSError as error:
            raise UsageError(f"Cannot write {path}: {error.strerror or error}.") from None


def show(
    outcomes: list[ExecOutcome],
    skipped: list[SkippedKernel],
    *,
    folder: bool,
    most_lines: int | None,
    in_file_order: bool,
) -> None:
    """Print each outcome, or one table for a folder."""
    from ptxbench.cli._blocks import open_console
    from ptxbench.terminal.execution import FolderReport, Report

    console = open_console()
    if folder:
        console.print(FolderReport(outcomes, skipped))
    for outcome in () if folder else outcomes:
        console.print(Report(outcome, most_lines, in_file_order))
