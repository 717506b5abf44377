"""One table per cell, to paste into an issue: the columns of the terminal, and the findings in words."""

from __future__ import annotations

from ptxbench import units
from ptxbench.exporters.tables import markdown_lines
from ptxbench.metrics import choose
from ptxbench.result import VERIFIED, Cell, RunDocument
from ptxbench.runner import noise
from ptxbench.safe_text import markdown_text
from ptxbench.wording.cells import default_columns, finding_label, first_finding, metric_columns
from ptxbench.wording.findings import finding, problems
from ptxbench.wording.table import Column, StyledText, Table


def export(run: RunDocument, reference: str | None = None) -> str:
    """The run as Markdown. `reference`: the row to compare with, instead of the best CUDA C."""
    device = run.device.name
    floor = noise(run.cells)
    lines = [markdown_text(f"ptxbench on {device}, run {run.run.id}, {run.run.started}"), ""]
    for cell in (other for other in run.cells if not other.control):
        title = markdown_text(f"{cell.pair}, {units.size_words(cell.point, cell.cache)}, {cell.arch}")
        lines += [f"### {title}", "", *markdown_lines(table(cell)), ""]
        if first := first_finding(cell, reference):
            lines += [f"{finding_label(cell)}: {markdown_text(first.text)}", ""]
        lines += [f"- {markdown_text(str(problem))}" for problem in problems(cell)]
        if sentence := finding(cell, floor, reference):
            lines += [markdown_text(sentence), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def table(cell: Cell) -> Table:
    """One row per variant, one column per metric."""
    columns, numbers = metric_columns(cell, [*choose(["max_error"]), *default_columns(cell)], spread=False)
    rows = [
        [StyledText(name, code=True), StyledText(result.status, strong=result.status != VERIFIED), *row]
        for (name, result), row in zip(cell.variants.items(), numbers, strict=True)
    ]
    return Table([Column("variant"), Column("status"), *columns], rows)
