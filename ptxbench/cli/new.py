"""`ptxbench new`: the three files of a new pair, ready to run."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ptxbench.cli._kernels import VARIABLE, from_variable, kernels_option
from ptxbench.cli._terminal import say, width
from ptxbench.errors import PtxbenchError

HERE = Path("kernels")
HOLDS = ("arguments, launch, reference, tolerance, sizes", "the kernel in CUDA C", "the kernel in PTX")


@click.command("new", short_help="Write a new pair that works, as a start.")
@click.argument("name", metavar="NAME")
@kernels_option("Write into this folder; it is created if needed.", default=HERE, show_default=True, callback=None)
@click.pass_context
def command(context: click.Context, name: str, kernels: Path) -> None:
    """Write a new pair that works, as a start.

    pairs/NAME.py, cuda/NAME.cu and ptx/NAME.ptx multiply an array by a number. `ptxbench run` verifies both sides;
    then change them step by step. NAME is also the name of the kernel: lower-case letters, digits and _. Existing
    files are never overwritten, and either all three files are written or none.

    Exit status: 0 written, 2 an invalid name, an existing file, or a folder that cannot be written.
    """
    from ptxbench.discovery import default_kernels
    from ptxbench.discovery.new import require_name, write_pair

    named = from_variable(context)
    require_name(name)
    try:
        files = [str(path) for path in write_pair(kernels, name)]
    except PtxbenchError as error:
        if not named:
            raise
        # about the folder, because the name is valid
        raise type(error)(f"{error} {VARIABLE} names {kernels}.") from None
    found = named or kernels.resolve() == default_kernels().resolve()
    option = "" if found else f" --kernels {shlex.quote(str(kernels))}"
    longest = max(map(len, files))
    for file, holds in zip(files, HOLDS, strict=True):
        say_wrapped(f"{file:{longest}}  {holds}", longest + 2)
    say()
    say_wrapped("1. Run it. Both sides are verified:", 3)
    say(f"       ptxbench run {name}{option}")
    say_wrapped(
        "2. Change it step by step, and run it after each step: reference, arguments, sizes, the CUDA C, the PTX.", 3
    )
    say_wrapped(f"3. To add a variant, add one file, such as {files[-1].removesuffix('.ptx')}.unrolled.ptx.", 3)
    if option:
        say()
        say_wrapped("To use this folder without --kernels, set:", 0)
        say(f"       export {VARIABLE}={shlex.quote(str(kernels.absolute()))}")


def say_wrapped(text: str, indent: int) -> None:
    """Print `text`, wrapped between words; lines after the first are indented if there is room."""
    from textwrap import wrap

    columns = width()
    further = " " * (indent if indent < columns // 2 else 4)
    for line in wrap(text, columns, subsequent_indent=further, break_long_words=False, break_on_hyphens=False):
        say(line)
