"""Printing of text without Rich, and its greatest width."""

from __future__ import annotations

import os

import click

from ptxbench.safe_text import log_text, plain

NARROWEST, WIDEST = 40, 100


def width() -> int:
    """Columns of the terminal, from NARROWEST to WIDEST; WIDEST without a terminal."""
    try:
        columns = int(os.environ.get("COLUMNS", 0)) or os.get_terminal_size().columns or WIDEST
    except (ValueError, OSError):
        columns = WIDEST
    return min(max(columns, NARROWEST), WIDEST)


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text, on stderr if `err`, without control characters and commands of CI."""
    click.echo(log_text(plain(text)), err=err, nl=nl)
