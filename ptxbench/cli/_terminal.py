"""How text is printed without Rich, and how wide it may be."""

from __future__ import annotations

import os

import click

from ptxbench.safe_text import log_text, plain

WIDEST = 100


def width() -> int:
    """Columns of the terminal, at most WIDEST, which it is where there is none."""
    try:
        columns = int(os.environ.get("COLUMNS", 0)) or os.get_terminal_size().columns or WIDEST
    except (ValueError, OSError):
        columns = WIDEST
    return min(columns, WIDEST)


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text, on stderr if `err`: nothing that a file brought into it moves the cursor or is a command of CI."""
    click.echo(log_text(plain(text)), err=err, nl=nl)
