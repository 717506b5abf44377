"""Two runs -> rows with verdicts. Pure: reads results, prints nothing, and decides no exit status.

`compare` makes every row that a table, a file or a gate shows, so they always agree.
"""

from __future__ import annotations

from ptxbench.verdict.comparison import Comparison, compare, default_mode
from ptxbench.verdict.rows import Mode, Row
from ptxbench.verdict.verdicts import (
    BROKEN,
    BROKEN_BOTH,
    FIXED,
    IMPROVED,
    INCONCLUSIVE,
    MISSING,
    NEW,
    NO_REGRESSION,
    NOT_COMPARABLE,
    REFERENCE_CHANGED,
    REGRESSED,
    SAME_CODE,
    VERDICTS,
    Rule,
)

__all__ = [
    "BROKEN",
    "BROKEN_BOTH",
    "FIXED",
    "IMPROVED",
    "INCONCLUSIVE",
    "MISSING",
    "NEW",
    "NOT_COMPARABLE",
    "NO_REGRESSION",
    "REFERENCE_CHANGED",
    "REGRESSED",
    "SAME_CODE",
    "VERDICTS",
    "Comparison",
    "Mode",
    "Row",
    "Rule",
    "compare",
    "default_mode",
]
