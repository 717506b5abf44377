"""The option --kernels, shared by all commands that have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ptxbench.errors import UsageError

VARIABLE = "PTXBENCH_KERNELS"


def kernels_option(help: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--kernels DIR, by default the value of VARIABLE, else the kernels of ptxbench. `settings`: of click.option,
    instead of the usual ones."""
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
    """Returns `folder`.

    Raises UsageError if VARIABLE names a folder without pairs, because the user may have forgotten VARIABLE.
    """
    from ptxbench.discovery import find_pairs

    if from_variable(context):
        try:
            find_pairs(folder)
        except UsageError as error:
            raise UsageError(f"{VARIABLE} is '{folder}'. {error} Or unset it.") from None
    return folder


def from_variable(context: click.Context) -> bool:
    """True if the environment, and not the command line, names the folder."""
    return context.get_parameter_source("kernels") is ParameterSource.ENVIRONMENT
