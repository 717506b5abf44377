"""`ptxbench new`: the three files of a new pair, from a template or from a kernel of a file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptxbench.cli._kernels import VARIABLE, from_variable, kernels_option
from ptxbench.cli._sources import source_options
from ptxbench.cli._terminal import say, width
from ptxbench.errors import PtxbenchError, UsageError

if TYPE_CHECKING:
    from ptxbench.draft import Draft
    from ptxbench.toolchain.options import SourceOptions

HERE = Path("kernels")
HOLDS = ("arguments, launch, reference, tolerance, sizes", "the kernel in CUDA C", "the kernel in PTX")


@click.command("new", short_help="Write a new pair, as a start or from a kernel.")
@click.argument("name", metavar="NAME")
@click.option(
    "--from",
    "file",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Start from a kernel of this .cu or .ptx file: its arguments, the other text, and questions for you.",
)
@source_options("The kernel of --from, if FILE has several")
@click.option("--arch", metavar="SM", help="Compile --from for this architecture.  [default: sm_90]")
@kernels_option("Write into this folder; it is created if needed.", default=HERE, show_default=True, callback=None)
@click.pass_context
def command(
    context: click.Context, name: str, file: Path | None, source: SourceOptions, arch: str | None, kernels: Path
) -> None:
    """Write a new pair: a small one that works, or with --from one for your own kernel.

    pairs/NAME.py, cuda/NAME.cu and ptx/NAME.ptx multiply an array by a number. `ptxbench run` verifies both sides;
    then change them step by step. NAME is also the name of the kernel: lower-case letters, digits and _. Existing
    files are never overwritten, and either all three files are written or none.

    With --from FILE.cu, the .cu file has the kernel of FILE.cu, the .ptx file is what the compiler makes of it, and
    the pair file has its arguments. With --from FILE.ptx, the .cu file has the signature, and you write the kernel.
    What the kernel does not say, such as shapes and the expected result, is an open question in the pair file: `...`
    under a line with TODO. `ptxbench run` refuses the pair until all are answered.

    Exit status: 0 written, 2 an invalid name, an existing file, a folder that cannot be written or a kernel that no
    pair can have, 4 a FILE that does not compile or is not PTX.
    """
    from ptxbench.discovery import default_kernels
    from ptxbench.discovery.new import require_name

    is_from_variable = from_variable(context)
    require_name(name)
    if file is None and (first := source.first_option or (arch and "--arch")):
        raise UsageError(f"{first} is for the file of --from. Add --from FILE, or leave it out.")
    try:
        files, draft = write(kernels, name, file, source, arch)
    except PtxbenchError as error:
        if not is_from_variable or file is not None:
            raise
        # about the folder, because the name is valid
        raise type(error)(f"{error} {VARIABLE} names {kernels}.") from None
    is_default = is_from_variable or kernels.resolve() == default_kernels().resolve()
    option = "" if is_default else f" --kernels {shlex.quote(str(kernels))}"
    if draft is None:
        say_files(files, HOLDS)
        say_steps_of_template(name, files, option)
    else:
        say_files(files, draft.holds)
        say_steps_of_draft(name, files, option, draft)
    if option:
        say()
        say_wrapped("To use this folder without --kernels, set:", 0)
        say(f"       export {VARIABLE}={shlex.quote(str(kernels.absolute()))}")


def write(
    kernels: Path, name: str, file: Path | None, source: SourceOptions, arch: str | None
) -> tuple[list[str], Draft | None]:
    """Write the files. Returns their paths, and the draft if they were made from a kernel."""
    from ptxbench.discovery.new import entry_of, require_possible, write_pair

    if file is None:
        return [str(path) for path in write_pair(kernels, name)], None
    from ptxbench.draft import check, draft

    require_possible(kernels, name)
    drafted = draft(file, name, entry_of(name), arch, source, kernels / "cuda")
    texts = {"pairs": drafted.pair, "cuda": drafted.cuda, "ptx": drafted.ptx}
    return [str(path) for path in write_pair(kernels, name, texts, lambda: check(kernels, name, drafted))], drafted


def say_files(files: Sequence[str], holds: Sequence[str]) -> None:
    longest = max(map(len, files))
    for path, words in zip(files, holds, strict=True):
        say_wrapped(f"{path:{longest}}  {words}", longest + 2)


def say_steps_of_template(name: str, files: Sequence[str], option: str) -> None:
    say()
    say_wrapped("1. Run it. Both sides are verified:", 3)
    say(f"       ptxbench run {name}{option}")
    say_wrapped(
        "2. Change it step by step, and run it after each step: reference, arguments, sizes, the CUDA C, the PTX.", 3
    )
    say_wrapped(f"3. To add a variant, add one file, such as {files[-1].removesuffix('.ptx')}.unrolled.ptx.", 3)
    say_wrapped("To start from a kernel of your own, use --from FILE.cu.", 0)


def say_steps_of_draft(name: str, files: Sequence[str], option: str, draft: Draft) -> None:
    for note in draft.notes:
        say_wrapped(note, 0)
    say()
    first = "Answer" if draft.complete else f"Write the kernel in {files[1]}, and answer"
    say_wrapped(f"1. {first} the questions in {files[0]}: each `...`, as the TODO above it says.", 3)
    say_wrapped("2. Run it. Both sides are verified; a question that is still open is named:", 3)
    say(f"       ptxbench run {name}{option}")
    say_wrapped("3. Change the PTX step by step, and run it after each step. This shows how they differ:", 3)
    say(f"       ptxbench show {name} --diff cuda ptx{option}")


def say_wrapped(text: str, indent: int) -> None:
    """Print `text`, wrapped between words; lines after the first are indented if there is room."""
    from textwrap import wrap

    columns = width()
    further = " " * (indent if indent < columns // 2 else 4)
    for line in wrap(text, columns, subsequent_indent=further, break_long_words=False, break_on_hyphens=False):
        say(line)
