"""The options that choose pairs, variants and targets, shared by all commands that have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

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
