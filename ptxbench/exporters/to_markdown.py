"""A table a cell, to paste into an issue: the columns that a terminal would show, and the findings in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ptxbench import units
from ptxbench.metrics import choose
from ptxbench.result import VERIFIED, Cell, Run
from ptxbench.safe_text import markdown_code, markdown_text
from ptxbench.wording.cells import default_columns, first_finding, range_column
from ptxbench.wording.findings import finding, problems


def export(run: Run) -> str:
    """The run as Markdown."""
    device = run.device.name
    lines = [markdown_text(f"ptxbench on {device}, run {run.run.id}, {run.run.started}"), ""]
    for cell in run.cells:
        place = markdown_text(f"{cell.pair}, {units.size_words(cell.point, cell.cache)}, {cell.arch}")
        lines += [f"### {place}", "", *table(cell), ""]
        if first := first_finding(cell):
            lines += [f"why: {markdown_text(first.text)}", ""]
        lines += [f"- {markdown_text(str(problem))}" for problem in problems(cell)]
        if found := finding(cell):
            lines += [markdown_text(found), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def table(cell: Cell) -> Iterator[str]:
    """One row a variant, one column a metric."""
    columns = []
    for metric in (*choose(["max_error"]), *default_columns(cell)):
        values = [metric.of(cell, name) for name in cell.variants]
        unit, texts = range_column(metric, cell) if metric.bounds else units.column(values, metric.unit)
        columns.append((f"{metric.heading} ({unit})" if unit else metric.heading, texts))
    yield row(["variant", "status", *(heading for heading, _ in columns)])
    yield "|:--|:--|" + "--:|" * len(columns)
    for i, (name, result) in enumerate(cell.variants.items()):
        status = result.status if result.status == VERIFIED else f"**{result.status}**"
        yield row([markdown_code(name), status, *(texts[i] for _, texts in columns)])


def row(cells: Sequence[str]) -> str:
    """A row of a table; its cells are Markdown."""
    return f"| {' | '.join(cells)} |"
