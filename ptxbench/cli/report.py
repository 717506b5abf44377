"""`ptxbench report`: recorded runs as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptxbench.cli._files import output_option, results_option
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._selection import targets_option
from ptxbench.cli._terminal import say
from ptxbench.saved_runs import NEWEST

if TYPE_CHECKING:
    from ptxbench.cli._progress import Bar
    from ptxbench.report import Material
    from ptxbench.result import RunDocument

MOST_PRINTED = 6
"""The most sentences about missing parts that are printed; the page has all of them."""


@click.command("report", short_help="Write runs as one HTML page.")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@output_option("Write the page to this file; an existing file is replaced.", default=Path("report.html"))
@targets_option(
    "Targets of the portability matrix, such as sm_90a or '*'; repeat.  [default: every architecture "
    "from sm_75 on, and each target such as sm_90a for which a run or a file was made]"
)
@results_option()
@kernels_option(
    "Take the sources of listings and matrices from this folder: it holds pairs/, cuda/ and ptx/. The "
    "pair files of the pairs in RUN are executed."
)
def command(runs: tuple[str, ...], output: Path, patterns: tuple[str, ...], results: Path, kernels: Path) -> None:
    """Write RUNs as one self-contained HTML page: summary, charts, findings, listings, portability, provenance.

    RUN is a file, the start of a file's name or of an id, `latest` (the default), or `latest~1`. Several runs share
    the listings of the pairs; each has its own summary and charts. Listings, findings and portability are made by
    the installed tools, for variants whose source is still the one of the run; the page says what is missing. It is
    smaller than 1 MB and loads no other files.

    Exit status: 0 good, 2 usage, a run that cannot be read, or a file that cannot be written.
    """
    from ptxbench import toolchain
    from ptxbench.cli._progress import Bar
    from ptxbench.exporters import exporter_for
    from ptxbench.output_files import try_output, write
    from ptxbench.report import render
    from ptxbench.saved_runs import load_run
    from ptxbench.units import plural

    if output.suffix:  # a pipe has none
        exporter_for(output, {".html": render, ".htm": render})
    recorded = list({run.run.id: run for run in (load_run(name, results) for name in runs or (NEWEST,))}.values())
    try_output(output, "Name another file with --output.")
    with Bar() as bar:
        materials = gather(recorded, kernels, patterns, bar)
        bar.last(f"write {output.name}")
        page, dropped = render(recorded, materials, toolchain.versions())
    write(page, output, replace=True)
    missing = [f"{material.name}: {sentence}" for material in materials for sentence in material.omitted]
    for sentence in (*dropped, *missing[:MOST_PRINTED]):
        say(sentence, err=True)
    if len(missing) > MOST_PRINTED:
        say(f"{len(missing) - MOST_PRINTED:,} more of these are on the page.", err=True)
    say(f"Wrote {output}: {plural(len(materials), 'pair')}, {len(page.encode()):,} bytes.")


def gather(runs: Sequence[RunDocument], kernels: Path, patterns: Sequence[str], bar: Bar) -> list[Material]:
    """What the page shows in addition to the figures of the runs."""
    from ptxbench.report import Material, collect

    materials = []
    for event in collect(runs, kernels, patterns):
        if isinstance(event, Material):
            materials.append(event)
        else:
            bar.show(event)
    return materials
