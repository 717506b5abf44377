"""The options that choose pairs, variants and targets, shared by all commands that have them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import click

from ptxbench.errors import UsageError, suggestion

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def pairs_option(help: str) -> Option:
    """--pair NAME, which may be repeated, as `pairs`."""
    return click.option("--pair", "pairs", multiple=True, metavar="NAME", help=help)


def variants_option(help: str) -> Option:
    """--variant NAME, which may be repeated, as `variants`."""
    return click.option("--variant", "variants", multiple=True, metavar="NAME", help=help)


def targets_option(help: str) -> Option:
    """--target GLOB, which may be repeated, as `patterns`."""
    return click.option("--target", "patterns", multiple=True, metavar="GLOB", help=help)


def columns_option(help: str) -> Option:
    """--columns NAME,.. of a table of cells, as `columns`."""
    return click.option("--columns", metavar="NAME,..", help=help)


def reference_option(help: str) -> Option:
    """--reference VARIANT, as `reference`."""
    return click.option("--reference", metavar="VARIANT", help=help)


def require_row(reference: str | None, rows: Collection[str]) -> None:
    """Raise UsageError if no cell has the row that --reference names."""
    if reference is not None and reference not in rows:
        names = sorted(rows)
        close = suggestion(reference, names)
        raise UsageError(f"--reference: this run has no row '{reference}'.{close} Its rows are {', '.join(names)}.")
