"""How wide what is printed may be, without Rich."""

from __future__ import annotations

import os

WIDEST = 100


def width() -> int:
    """Columns of the terminal, at most WIDEST, which it is where there is none."""
    try:
        columns = int(os.environ.get("COLUMNS", 0)) or os.get_terminal_size().columns or WIDEST
    except (ValueError, OSError):
        columns = WIDEST
    return min(columns, WIDEST)
