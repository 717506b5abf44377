"""The options that name files and folders, shared by all commands that have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def results_option(help: str = "Look for runs below this folder.") -> Option:
    """--results DIR: where runs are saved and searched."""
    return click.option("--results", type=click.Path(path_type=Path), metavar="DIR", default=Path("results"), help=help)


def outputs_option(help: str) -> Option:
    """-o FILE, which may be repeated."""
    return click.option(
        "-o",
        "--output",
        "outputs",
        type=click.Path(path_type=Path, dir_okay=False),
        multiple=True,
        metavar="FILE",
        help=help,
    )


def replay_option(what: str) -> Option:
    """--replay RUN; `what` it does, as a clause."""
    return click.option(
        "--replay",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="RUN",
        help=f"Run nothing: {what}. RUN is a file, the start of a file's name or of an id, `latest` or `latest~1`.",
    )
