"""Write the tables of tried variants into docs/kernels/*.md: the emulator's counts and the figures of the build.

    .venv/bin/python -m tools.counted_pages [PAGE]...    fill each PAGE, such as softmax; by default all pages

A page holds blocks such as

    <!-- counted: pair=softmax variants=cuda,cuda.online arch=sm_90 columns=registers,sass_executed -->
    <!-- /counted -->

The tool puts a table between the two lines, with one row for each variant and one column for each metric of
`ptxbench run --columns`, from one launch at the pair's first bench size, and the versions of the tools. `size=n=4096`
before `columns` selects another size. Variants are names or globs. A block with a row in Triton stays as it is where
Triton is not installed. tests/test_counted_pages.py compares the committed pages with what this tool writes.
"""

import re
import sys
from dataclasses import dataclass

from ptxbench import discovery, units
from ptxbench.backends import open_backend
from ptxbench.errors import UsageError
from ptxbench.exporters.tables import markdown_row
from ptxbench.languages import TRITON
from ptxbench.metrics import choose
from ptxbench.result import MUST_FAIL, VERIFIED
from ptxbench.runner import CellDone, RunPlan, plan_pairs, run
from ptxbench.toolchain.python_source import installed
from ptxbench.wording.cells import range_column
from tools.kernel_pages import fill, made_by, page_of, pages
from tools.page_blocks import between

OPENING = re.compile(r"^<!-- counted:(.*)-->$")
CLOSING = "<!-- /counted -->"
KEYS = ("pair", "variants", "arch", "columns")


@dataclass(frozen=True)
class Block:
    """The content of a block of a page: the metrics of `columns` for these variants of a pair."""

    pair: str
    variants: tuple[str, ...]
    arch: str
    columns: tuple[str, ...]
    size: str = ""
    """The size as in `--size`; empty for the first bench size."""

    @staticmethod
    def read(words):
        """The block that `words`, between `counted:` and the end of the comment, ask for. Raises UsageError."""
        values = dict(word.partition("=")[::2] for word in words.split())
        size = values.pop("size", "")
        if sorted(values) != sorted(KEYS) or len(words.split()) != len(KEYS) + bool(size) or not all(values.values()):
            raise UsageError(
                f"'counted:{words.rstrip()}' needs each of {', '.join(KEYS)} once, such as pair=scan "
                "variants=cuda,ptx arch=sm_90 columns=registers,sass_executed."
            )
        variants, columns = (tuple(values[key].split(",")) for key in ("variants", "columns"))
        return Block(values["pair"], variants, values["arch"], columns, size)


def blocks(text):
    """(first line, last line, Block) of each block of a page; see page_blocks.between."""
    return between(text, OPENING, CLOSING, Block.read)


def filled(text):
    """The text of a page with its blocks filled. Raises UsageError as `blocks` does, and for a wrong variant."""
    lines = text.splitlines()
    for first, last, block in reversed(blocks(text)):
        if needs_triton(block) and not installed("triton"):
            continue
        try:
            lines[first + 1 : last] = figures(block)
        except UsageError as error:
            raise UsageError(f"{first + 1}: {error}") from None
    return "".join(f"{line}\n" for line in lines)


def needs_triton(block):
    """Whether a row of the block is in Triton."""
    return any(name.partition(".")[0] == TRITON.name for name in block.variants)


def figures(block):
    """The lines of a block: table, empty line, size and versions."""
    cell = counted(block)
    rows = [f"`{variant}`" for variant in cell.variants]
    headings, columns = ["variant"], [rows]
    for metric in choose(block.columns):
        values = [metric.of(cell, variant) for variant in cell.variants]
        unit, texts = range_column(metric, cell) if metric.bounds else units.column(values, metric.unit)
        headings.append(f"{metric.heading} ({unit})" if unit else metric.heading)
        columns.append(texts)
    body = [markdown_row(row) for row in zip(*columns, strict=True)]
    rule = "|:--|" + "--:|" * (len(columns) - 1)
    return [markdown_row(headings), rule, *body, "", f"At {units.size_words(cell.size)}. {made_by(block.arch, [cell])}"]


def counted(block):
    """The cell of the block, run on the emulator. Raises UsageError for a variant that is not verified."""
    sizes = [block.size] if block.size else []
    pair_plans, _ = plan_pairs(discovery.default_kernels(), [block.pair], block.variants, sizes)
    plan = RunPlan(pair_plans, open_backend("emulator", block.arch), block.arch, discovery.default_kernels())
    (cell,) = [event.cell for event in run(plan) if isinstance(event, CellDone)]
    for name, result in cell.variants.items():
        if result.status not in (VERIFIED, MUST_FAIL):
            raise UsageError(f"'{name}' of '{block.pair}' is {result.status} on {block.arch}: {result.reason}")
    return cell


def main(names):
    """Fill these pages, or all pages. Returns the errors."""
    return fill([page_of(name) for name in names] or pages(), filled)


if __name__ == "__main__":
    sys.exit("\n".join(main(sys.argv[1:])) or None)
