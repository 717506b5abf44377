"""Two runs -> rows with verdicts. Pure: reads results, prints nothing, and decides nothing about exit codes.

`compare` makes every row that a table, a file or a gate shows, so that they cannot disagree.
"""

from __future__ import annotations

from ptxbench.judge.comparison import Comparison, compare, default_mode
from ptxbench.judge.rows import Mode, Row
from ptxbench.judge.verdicts import (
    BROKEN,
    BROKEN_BOTH,
    FIXED,
    IMPROVED,
    MISSING,
    NEW,
    REFERENCE_MOVED,
    REGRESSED,
    SAME_CODE,
    UNLIKE,
    UNSURE,
    VERDICTS,
    WITHIN,
    Rule,
)

__all__ = [
    "BROKEN",
    "BROKEN_BOTH",
    "FIXED",
    "IMPROVED",
    "MISSING",
    "NEW",
    "REFERENCE_MOVED",
    "REGRESSED",
    "SAME_CODE",
    "UNLIKE",
    "UNSURE",
    "VERDICTS",
    "WITHIN",
    "Comparison",
    "Mode",
    "Row",
    "Rule",
    "compare",
    "default_mode",
]
