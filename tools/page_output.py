"""Write real output into the pages of docs: what a command prints, and the control bits of machine code.

    .venv/bin/python -m tools.page_output [PAGE]...      fill each PAGE, such as docs/pipeline.md; by default all pages

A page holds blocks such as

    <!-- output: columns=100 from="if (i < n" to="}" ptxbench show triad --variant cuda --ptx -->
    <!-- control: columns=100 from=LDG to=STG triad cuda sm_90 -->
    <!-- built: sm_90 -->

each closed by <!-- /output -->. The first is filled with the output of the command, from the first line that contains
`from` to the next line that contains `to`; both are optional. The second shows the machine code of a variant of a pair,
with the control bits of each instruction. The third names the tools. tests/test_page_output.py compares the committed
pages with what this tool writes.
"""

import contextlib
import io
import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from ptxbench import toolchain
from ptxbench.cli import main as main_of_ptxbench
from ptxbench.discovery import default_kernels, load
from ptxbench.errors import UsageError
from ptxbench.toolchain.lines import annotate
from tools.kernel_pages import fill, made_by
from tools.page_blocks import between

ROOT = Path(__file__).parents[1]
OPENING = re.compile(r"^<!-- (?P<kind>output|control|built): (?P<words>.*) -->$")
CLOSING = "<!-- /output -->"
OPTION = re.compile(r"(columns|from|to)=(.*)")


@dataclass(frozen=True)
class Block:
    """The content of a block: `words` are a command line, or pair, variant and target, or a target."""

    kind: str
    words: tuple[str, ...]
    columns: int = 100
    first: str = ""
    last: str = ""

    @staticmethod
    def read(kind, text):
        """The block that the text after `kind:` describes. Raises UsageError."""
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"{text}: {error}.") from None
        options = {}
        while words and (option := OPTION.fullmatch(words[0])):
            options[option[1]] = option[2]
            words = words[1:]
        needed = {"output": words[:1] == ["ptxbench"], "control": len(words) == 3, "built": len(words) == 1}
        if not needed[kind] or not options.get("columns", "100").isdigit():
            raise UsageError(f"'{kind}: {text}' is not a valid block. See the docstring of tools/page_output.py.")
        columns = int(options.get("columns", 100))
        return Block(kind, tuple(words), columns, options.get("from", ""), options.get("to", ""))


def blocks(text):
    """(first line, last line, Block) of each block of a page; see page_blocks.between."""
    return between(text, OPENING, CLOSING, Block.read)


def filled(text):
    """The text of a page with its blocks filled. Raises UsageError as `blocks` does, and what a build raises."""
    lines = text.splitlines()
    for first, last, block in reversed(blocks(text)):
        try:
            lines[first + 1 : last] = SHOWN[block.kind](block)
        except UsageError as error:
            raise UsageError(f"{first + 1}: {error}") from None
    return "".join(f"{line}\n" for line in lines)


def fenced(block, lines):
    """The part of `lines` that the block selects, as code. Raises UsageError if there is no such part."""
    first = next((i for i, line in enumerate(lines) if block.first in line), None)
    last = None if first is None else next((i for i in range(first, len(lines)) if block.last in lines[i]), None)
    if first is None or last is None:
        missing = block.first if first is None else block.last
        raise UsageError(f"'{' '.join(block.words)}' does not print a line with '{missing}'.")
    shown = lines[first : last + 1] if block.last else lines[first:]
    return ["```", *(line.rstrip() for line in shown), "```"]


def output(block):
    """The output of the command on a terminal of that width, without colours. Raises UsageError if it fails."""
    out, err = io.StringIO(), io.StringIO()
    terminal = mock.patch.dict(os.environ, {"COLUMNS": str(block.columns), "NO_COLOR": "1"})
    with terminal, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main_of_ptxbench(block.words[1:])
    if status:
        raise UsageError(f"'{' '.join(block.words)}' ends with status {status}: {err.getvalue().strip()}")
    return fenced(block, out.getvalue().splitlines())


def control(block):
    """The machine code with the control bits of each instruction."""
    name, variant, arch = block.words
    source = next((source for source in load(default_kernels(), name).sources if source.variant == variant), None)
    if source is None:
        raise UsageError(f"{name} has no variant '{variant}'.")
    build = toolchain.build_source(source, arch)
    lines = ["stall  waits for  releases     instruction"]
    for instruction in annotate(build, controls=True).instructions:
        control = instruction.control
        waits = " ".join(map(str, control.waits)) or "-"
        releases = [f"{number} {word}" for number, word in ((control.write, "written"), (control.read, "read"))
                    if number is not None]  # fmt: skip
        text = (
            instruction.text
            if len(instruction.text) <= block.columns - 32
            else f"{instruction.text[: block.columns - 33]}…"
        )
        lines.append(f"{control.stall:5}  {waits:9}  {' '.join(releases) or '-':11}  {text}")
    shown = fenced(block, lines[1:])
    return [shown[0], lines[0], *shown[1:]]


def built(block):
    """The line that names the tools."""
    return [made_by(block.words[0])]


SHOWN = {"output": output, "control": control, "built": built}


def pages():
    """Every page of docs that has a block."""
    return sorted(path for path in (ROOT / "docs").glob("*.md") if CLOSING in path.read_text(encoding="utf-8"))


def main(names):
    """Fill these pages, or all pages. Returns the errors."""
    return fill([Path(name) for name in names] or pages(), filled)


if __name__ == "__main__":
    sys.exit("\n".join(main(sys.argv[1:])) or None)
