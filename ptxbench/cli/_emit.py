"""`ptxbench show --emit`: saves what the tools make of a kernel: its PTX, its cubin, or its SASS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ptxbench.cli._terminal import say
from ptxbench.errors import ToolMissing, UsageError

if TYPE_CHECKING:
    from ptxbench.toolchain import Build

FORMS = ("ptx", "cubin", "sass")
CUBIN = "cubin"


def require_output(form: str, output: Path | None) -> None:
    """Raises UsageError for a cubin without a file, and ResultError for a file that cannot be written."""
    from ptxbench.output_files import try_output

    if output is None and form == CUBIN:
        raise UsageError("--emit cubin needs -o FILE, because a cubin is not text.")
    if output is not None:
        try_output(output, "Name another file with -o.")


def emit(build: Build, form: str, output: Path | None) -> None:
    """Write that form of a build to `output`, or print it. Raises UsageError if `output` is the source."""
    from ptxbench.output_files import write

    if output is not None and output.resolve() == build.source.resolve():
        raise UsageError(f"-o {output} is the source itself, which would be lost. Name another file.")
    content = content_of(build, form)
    if output is not None:
        write(content, output, replace=True)
        say(f"Wrote {output}", err=True)
    else:
        assert isinstance(content, str)
        say(content, nl=False)


def content_of(build: Build, form: str) -> str | bytes:
    """The content of the file. Raises ToolMissing if a tool for it is not installed."""
    from ptxbench.toolchain.lines import annotate, require

    if form == "ptx":
        return build.ptx
    if form == CUBIN:
        require("ptxas")
        if build.cubin is None:
            raise ToolMissing("There is no cubin: ptxas did not assemble this kernel.")
        return build.cubin
    rows = [f"// {build.source.name}, kernel {build.entry}, {build.arch}"]
    for instruction in annotate(build).instructions:
        rows += [f"{label}:" for label in instruction.labels]
        rows.append(f"        /*{instruction.address:04x}*/  {instruction.text};")
    return "\n".join(rows) + "\n"
