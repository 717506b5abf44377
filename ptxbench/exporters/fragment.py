"""A run as a fragment of HTML, which a notebook shows: the tables of the terminal, in the notebook's own colours."""

from __future__ import annotations

from collections.abc import Iterator

from ptxbench import units
from ptxbench.exporters.tables import html_table
from ptxbench.exporters.to_markdown import table
from ptxbench.result import RunDocument
from ptxbench.runner import noise
from ptxbench.safe_text import xml_text
from ptxbench.wording.cells import COUNTS_NOTICE, finding_label, first_finding
from ptxbench.wording.findings import finding, problems


def export(run: RunDocument) -> str:
    """The run as HTML, without scripts and styles of its own."""
    return "\n".join(lines(run)) + "\n"


def lines(run: RunDocument) -> Iterator[str]:
    measured, floor = [cell for cell in run.cells if not cell.control], noise(run.cells)
    yield f"<p>ptxbench on {xml_text(run.device.name)}, run {xml_text(run.run.id)}, {xml_text(run.run.status)}</p>"
    for cell in measured:
        title = f"{cell.pair}, {units.size_words(cell.point, cell.cache)}, {cell.arch}"
        yield f"<h4>{xml_text(title)}</h4>"
        yield from html_table(table(cell))
        if first := first_finding(cell):
            yield f"<p>{finding_label(cell)}: {xml_text(first.text)}</p>"
        yield from (f"<p>{xml_text(str(problem))}</p>" for problem in problems(cell))
        if sentence := finding(cell, floor):
            yield f"<p><b>{xml_text(sentence)}</b></p>"
    if any(result.counts is not None for cell in measured for result in cell.variants.values()):
        yield f"<p><small>{xml_text(COUNTS_NOTICE)}</small></p>"
