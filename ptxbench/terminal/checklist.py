"""A checklist as a table: of `ptxbench doctor`, or of a calibration. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ptxbench.checklist import ChecklistLine
from ptxbench.terminal.tables import DrawnTable, draw
from ptxbench.wording.table import StyledText, Table, texts

STYLES = {
    "works": "green", "absent": "yellow", "broken": "bold red",
    "PASS": "green", "WARN": "yellow", "FAIL": "bold red", "N/A": "dim",
}  # fmt: skip
"""By the status of a part of the machine, or of a check of the GPU. As words, because `doctor` must work where the
modules of a calibration cannot be imported."""


def checklist_table(lines: Sequence[ChecklistLine]) -> DrawnTable:
    """One row per line: its status, its subject and what was found."""
    rows = [[StyledText(line.status, STYLES[line.status]), line.subject, line.found] for line in lines]
    return draw(Table([*texts("", ""), *texts("", width="fold")], rows), ruled=False)
