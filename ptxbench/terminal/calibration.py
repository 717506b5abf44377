"""A calibration as a table. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ptxbench.calibration.assessment import ABSENT, FAIL, PASS, WARN, CheckResult
from ptxbench.terminal.tables import DrawnTable, draw
from ptxbench.wording.table import StyledText, Table, texts

STYLES = {PASS: "green", WARN: "yellow", FAIL: "bold red", ABSENT: "dim"}


def calibration_table(lines: Sequence[CheckResult]) -> DrawnTable:
    """One row per check result: its status, its subject and what was found."""
    rows = [[StyledText(line.status, STYLES[line.status]), line.subject, line.found] for line in lines]
    return draw(Table([*texts("", ""), *texts("", width="fold")], rows), ruled=False)
