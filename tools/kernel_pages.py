"""Write the figures into docs/kernels/*.md: what the installed tools make of each variant.

    .venv/bin/python -m tools.kernel_pages [PAGE]...     fill each PAGE, such as softmax; by default all pages

A page holds blocks such as

    <!-- figures: pairs=softmax arch=sm_90 columns=registers,sass,sass.FFMA -->
    <!-- /figures -->

The tool puts a table between the two lines, with one row for each variant and one column for each metric of
`ptxbench run --columns`, and the versions of the tools. No kernel runs: the table has only figures of the build, so the
same versions give the same table. Rows in Triton are left out, so that pages can be written without it.
tests/test_kernel_pages.py compares the committed pages with what this tool writes.
"""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ptxbench import discovery, toolchain, units
from ptxbench.errors import KernelError, PtxbenchError, UsageError
from ptxbench.exporters.tables import markdown_row
from ptxbench.languages import TRITON
from ptxbench.metrics import choose
from ptxbench.result import Cell, LaunchReport
from ptxbench.runner.candidate import VariantRun
from ptxbench.wording.findings import compilers
from tools.page_blocks import between

FOLDER = Path(__file__).parents[1] / "docs" / "kernels"
OPENING = re.compile(r"^<!-- figures:(.*)-->$")
CLOSING = "<!-- /figures -->"
KEYS = ("pairs", "arch", "columns")


@dataclass(frozen=True)
class Block:
    """The content of a block of a page: the metrics of `columns` for every variant of `pairs`, built for `arch`."""

    pairs: tuple[str, ...]
    arch: str
    columns: tuple[str, ...]

    @staticmethod
    def read(words):
        """The block that `words`, between `figures:` and the end of the comment, ask for. Raises UsageError."""
        values = dict(word.partition("=")[::2] for word in words.split())
        if sorted(values) != sorted(KEYS) or len(words.split()) != len(KEYS) or not all(values.values()):
            raise UsageError(
                f"'figures:{words.rstrip()}' needs each of {', '.join(KEYS)} once, such as "
                "pairs=softmax arch=sm_90 columns=registers,sass,sass.FFMA."
            )
        return Block(tuple(values["pairs"].split(",")), values["arch"], tuple(values["columns"].split(",")))


def blocks(text):
    """(first line, last line, Block) of each block of a page; see page_blocks.between."""
    return between(text, OPENING, CLOSING, Block.read)


def filled(text):
    """The text of a page with its blocks filled. Raises UsageError as `blocks` does, and what a build raises."""
    lines = text.splitlines()
    for first, last, block in reversed(blocks(text)):
        lines[first + 1 : last] = figures(block)
    return "".join(f"{line}\n" for line in lines)


def figures(block):
    """The lines of a block: table, empty line, versions."""
    metrics = choose(block.columns)
    cells = [built(name, block.arch) for name in block.pairs]
    labels = [(cell.pair, variant) for cell in cells for variant in cell.variants]
    table = [[f"`{variant}`" for _, variant in labels]]
    headings = ["variant"]
    if len(cells) > 1:
        table.insert(0, [f"`{name}`" for name, _ in labels])
        headings.insert(0, "pair")
    text_columns = len(headings)
    for metric in metrics:
        values = [metric.of(cell, variant) for cell in cells for variant in cell.variants]
        if all(value is None for value in values):
            raise UsageError(
                f"'{metric.name}' is not a figure of a build: a page shows what the same tools always give."
            )
        unit, texts = units.column(values, metric.unit)
        headings.append(f"{metric.heading} ({unit})" if unit else metric.heading)
        table.append(texts)
    rows = [markdown_row(row) for row in zip(*table, strict=True)]
    return [
        markdown_row(headings),
        "|" + ":--|" * text_columns + "--:|" * len(metrics),
        *rows,
        "",
        made_by(block.arch, cells),
    ]


def made_by(arch, cells=()):
    """The line below a table, with the compiler of each variant that is not CUDA C. Raises UsageError if a tool is
    missing."""
    versions = toolchain.versions()
    if missing := [name for name, version in versions.items() if version is None]:
        raise UsageError(f"{', '.join(missing)} is not there; `ptxbench doctor` says what to do.")
    others = [compiler for cell in cells for compiler in compilers(cell)]
    return " ".join(
        [f"Built for {arch} by NVRTC {versions['nvrtc']} and ptxas {versions['ptxas']}.", *dict.fromkeys(others)]
    )


def built(name, arch):
    """The pair, built but not executed, as a cell of its first bench size."""
    kernels = discovery.default_kernels()
    discovery.choose_pairs(kernels, [name])  # suggests a name for an unknown one
    loaded = discovery.load(kernels, name)
    size = loaded.pair.bench_sizes[0]
    launch = loaded.pair.launch(**size)
    sources = [source for source in loaded.sources if source.language != TRITON.name]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        candidates = list(pool.map(lambda source: candidate(source, arch), sources))
    return Cell(
        pair=name,
        size=size,
        arch=arch,
        launch=LaunchReport(launch.grid_xyz, launch.block_xyz, launch.shared_bytes),
        work={},
        variants={
            candidate.source.variant: candidate.result(candidate.launch(loaded.pair, size), "none", "none", launch)
            for candidate in candidates
        },
    )


def candidate(source, arch):
    """One variant, built; without a build if it is not for `arch` or cannot be built."""
    run = VariantRun(source)
    try:
        run.build = toolchain.build_source(source, arch)
    except KernelError as error:
        run.fail(error)
    return run


def page_of(name):
    """The file of a page, given by name or by path."""
    path = Path(name)
    return path if path.suffix == ".md" else FOLDER / f"{name}.md"


def pages():
    """Every page; not the index, which shows what a block looks like."""
    return sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")


def fill(paths, filled):
    """Write the pages that `filled` changes. Returns the errors."""
    failures = []
    for path in paths:
        try:
            before = path.read_text(encoding="utf-8")
            after = filled(before)
        except OSError as error:
            failures.append(f"{path}: {error.strerror}")
            continue
        except PtxbenchError as error:
            failures.append(f"{path}:{error}" if re.match(r"\d+: ", str(error)) else f"{path}: {error}")
            continue
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"Wrote {path}")
    return failures


def main(names):
    """Fill these pages, or all pages. Returns the errors."""
    return fill([page_of(name) for name in names] or pages(), filled)


if __name__ == "__main__":
    sys.exit("\n".join(main(sys.argv[1:])) or None)
