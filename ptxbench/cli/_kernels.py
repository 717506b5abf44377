"""The option --kernels, one for every command that takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ptxbench.errors import UsageError

VARIABLE = "PTXBENCH_KERNELS"


def kernels_option(help: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--kernels DIR, else what VARIABLE names, else the kernels of ptxbench; `settings` replace any of it."""
    usual = {"default": shipped, "show_default": "those of ptxbench", "callback": check}
    return click.option(
        "--kernels",
        type=click.Path(path_type=Path),
        metavar="DIR",
        envvar=VARIABLE,
        show_envvar=True,
        help=help,
        **{**usual, **settings},
    )


def shipped() -> Path:
    from ptxbench.discovery import default_kernels

    return default_kernels()


def check(context: click.Context, option: click.Parameter, folder: Path) -> Path:
    """`folder`. Raises UsageError if it is VARIABLE that names it and no pair is there: who set it has forgotten it."""
    from ptxbench.discovery import find_pairs

    if from_variable(context):
        try:
            find_pairs(folder)
        except UsageError as error:
            raise UsageError(f"{VARIABLE} is '{folder}'. {error} Or unset it.") from None
    return folder


def from_variable(context: click.Context) -> bool:
    """True where the environment, and not the command line, names the folder."""
    return context.get_parameter_source("kernels") is ParameterSource.ENVIRONMENT
