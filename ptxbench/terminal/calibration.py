"""A calibration's checklist as a table. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ptxbench.calibration.assessment import ABSENT, FAIL, PASS, WARN, CheckResult

STYLES = {PASS: "green", WARN: "yellow", FAIL: "bold red", ABSENT: "dim"}


def checklist_table(lines: Sequence[CheckResult]) -> Table:
    """A row a line: its status, its subject and what was found."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(Text(line.status, STYLES[line.status]), line.subject, Text(line.found))
    return table
