"""`ptxbench exec`: launches any kernel once on the emulator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptxbench.cli._terminal import say
from ptxbench.errors import UsageError, suggestion

if TYPE_CHECKING:
    from ptxbench.arguments import BoundArguments
    from ptxbench.execution import ExecOutcome, LeftOut

SOME_LINES = 10


@click.command("exec", short_help="Launch a kernel of a file on the emulator.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--entry", metavar="NAME", help="The kernel to launch, if FILE has several.")
@click.option("--grid", metavar="X[,Y[,Z]]", default="1", help="CTAs to launch.")
@click.option(
    "--block", metavar="X[,Y[,Z]]", help="Threads of a CTA.  [default: what the kernel's .reqntid says, else 32]"
)
@click.option("--shared", metavar="BYTES", type=click.IntRange(0), default=0, help="Dynamic shared memory of a CTA.")
@click.option(
    "--arg",
    "args",
    multiple=True,
    metavar="ARG",
    help="An argument, in order or by name; repeat. u32=1024 and f32=2.5 are passed by value. "
    "'f32[1024]=random' is an array; instead of random: zeros, iota, a number or FILE.npy. x:f32=2.5 is "
    "for the parameter x, 0:f32=2.5 for the first parameter. '{f32[32]=iota, u32=32}' is a struct by "
    "value, '&{...}' the address of a struct, '&x[16]' the address of an element of x.",
)
@click.option(
    "--save",
    "saves",
    multiple=True,
    metavar="NAME=FILE.npy",
    help="Save this array, by name or index, after the launch; repeat.",
)
@click.option("--sanitize", is_flag=True, help="Report all faults, races and uninitialised reads; slower.")
@click.option("--arch", metavar="SM", help="Run as this architecture.  [default: the .target of PTX, sm_90 for CUDA C]")
@click.option(
    "--flag", "flags", multiple=True, metavar="OPTION", help="An option of NVRTC, such as --use_fast_math; repeat."
)
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Host threads.  [default: one per core]")
@click.option("--max-loop-iterations", type=click.IntRange(1), metavar="N", help="Loop iterations that a warp may run.")
@click.option("--seed", type=click.IntRange(0), default=1, metavar="N", help="Draw random arrays from this seed.")
@click.option(
    "--lines", metavar="N", default=str(SOME_LINES), help="Show this many PTX lines, the hottest first, or `all`."
)
@click.option(
    "--sort",
    type=click.Choice(["count", "file"]),
    default="count",
    help="The order of these lines: the hottest first, or as in the file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, and nothing else, on stdout.")
def command(
    file: Path,
    entry: str | None,
    grid: str,
    block: str | None,
    shared: int,
    args: tuple[str, ...],
    saves: tuple[str, ...],
    sanitize: bool,
    arch: str | None,
    flags: tuple[str, ...],
    threads: int | None,
    max_loop_iterations: int | None,
    seed: int,
    lines: str,
    sort: str,
    as_json: bool,
) -> int:
    """Launch a kernel of FILE once on the emulator and print what it did.

    FILE is PTX (.ptx), CUDA C (.cu, compiled by NVRTC), or a folder: then every kernel in it that takes the
    arguments is launched. The output: the arrays that changed, the counts, the number of executed machine
    instructions, the hottest lines, and any errors.

    ptxbench exec saxpy.ptx --grid 64 --block 256 --arg 'f32[16384]=random' --arg 'f32[16384]=zeros' --arg f32=2
    --arg u32=16384

    Exit status: 0 clean, 2 usage, 4 a fault or a finding, 5 an instruction that the emulator lacks.
    """
    from ptxbench.arguments import bind, parse
    from ptxbench.execution import ExecLaunch, execute, execute_folder, exit_status, read_program, with_executed

    arguments = [parse(text) for text in args]
    launch = ExecLaunch(
        extent(grid, "--grid"),
        extent(block, "--block") if block else None,
        shared,
        sanitize,
        threads,
        max_loop_iterations,
        seed,
    )
    shown = line_count(lines)
    to_save = [read_save(text) for text in saves]
    left_out: list[LeftOut] = []
    if file.is_dir():
        if to_save:
            raise UsageError("--save is for one kernel, and a folder may have many. Name a file.")
        outcomes, left_out = execute_folder(file, entry, arch, flags, arguments, launch, announce)
    else:
        if not file.exists():
            raise UsageError(f"There is no file {file}.")
        program = read_program(file, arch, flags)
        function = program.choose(entry)
        wanted = which_arrays(bind(function, arguments), to_save)  # before the work: a typing error must not cost it
        outcomes = [with_executed(execute(program, function, arguments, launch))]
        save(outcomes[0], wanted)
    if as_json:
        from ptxbench.documents import json_text
        from ptxbench.execution import to_document

        say(json_text(to_document(outcomes, left_out)), nl=False)
    else:
        show(outcomes, left_out, folder=file.is_dir(), shown=shown, in_file_order=sort == "file")
    return exit_status(outcomes, left_out)


def extent(text: str, option: str) -> tuple[int, int, int]:
    """`64`, `8,8` or `8,8,2` as three numbers."""
    parts = re.split(r"[,x]", text)
    if not 1 <= len(parts) <= 3 or not all(re.fullmatch(r"0*[1-9]\d{0,17}", part, re.A) for part in parts):
        raise UsageError(f"{option} is '{text}'; write one to three whole numbers of at least 1, such as 64 or 16,16.")
    x, y, z = (*map(int, parts), 1, 1)[:3]
    return x, y, z


def line_count(text: str) -> int | None:
    """None for all lines."""
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

    known = names(bound)
    result = []
    for name, path in saves:
        array = find(name, known, bound)
        if array is None:
            text = suggestion(name, known) or (f" There are {', '.join(known)}." if known else "")
            raise UsageError(f"--save: there is no array '{name}'.{text}")
        result.append((array, path))
    return result


def save(outcome: ExecOutcome, wanted: Sequence[tuple[str, Path]]) -> None:
    """Write these arrays; a kernel that was stopped has none."""
    import numpy as np

    arrays = {array.name: array.array for array in outcome.arrays}
    for name, path in wanted if arrays else ():
        try:
            np.save(path, arrays[name])
        except OSError as error:
            raise UsageError(f"Cannot write {path}: {error.strerror}.") from None


def announce(path: Path) -> None:
    """Show on a terminal which file of a folder is running."""
    import sys

    from ptxbench.safe_text import plain

    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{plain(path.name)}\r", nl=False, err=True)


def show(
    outcomes: list[ExecOutcome], left_out: list[LeftOut], *, folder: bool, shown: int | None, in_file_order: bool
) -> None:
    """Print each outcome, or one table for a folder."""
    from ptxbench.cli._blocks import open_console
    from ptxbench.terminal.execution import FolderReport, Report

    console = open_console()
    if folder:
        console.print(FolderReport(outcomes, left_out))
    for outcome in () if folder else outcomes:
        console.print(Report(outcome, shown, in_file_order))
