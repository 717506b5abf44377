"""The options for files, folders and JSON, shared by all commands that have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ptxbench.errors import UsageError

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def results_option(help: str = "Look for runs below this folder.") -> Option:
    """--results DIR: where runs are saved and searched."""
    return click.option(
        "--results",
        type=click.Path(path_type=Path),
        metavar="DIR",
        default=Path("results"),
        callback=no_file_in_its_place,
        help=help,
    )


def no_file_in_its_place(context: click.Context, parameter: click.Parameter, folder: Path) -> Path:
    """The folder. Raises BadParameter if the command line names a file; the usual folder may not be needed at all."""
    if folder.is_file() and context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT:
        raise click.BadParameter(f"Directory '{folder}' is a file.", context, parameter)
    return folder


def require_folder(option: str, folder: Path, content: str) -> None:
    """Raises UsageError if the command line names a folder that does not exist; the usual folder may be missing.

    For commands that only read the folder and go on without it. `option`: its name in the code, such as "results".
    """
    if not folder.is_dir() and click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT:
        raise UsageError(f"There is no folder {folder}. Give --{option} the folder that holds {content}.")


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


def not_a_dash(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """The path. Raises BadParameter for `-`: other programs then print, and this one would write a file `-`."""
    if path == Path("-"):
        raise click.BadParameter("expected the name of a file, found '-'. For standard output, write /dev/stdout.")
    return path


def output_option(help: str, **settings: Any) -> Option:
    """-o FILE, as `output`. `settings`: of click.option, instead of the usual ones."""
    usual = {"type": click.Path(path_type=Path, dir_okay=False), "metavar": "FILE", "callback": not_a_dash}
    return click.option("-o", "--output", help=help, **{**usual, **settings})


def json_option(help: str) -> Option:
    """--json, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=help)


def config_option(help: str) -> Option:
    """--config FILE, as `config_path`."""
    return click.option(
        "--config", "config_path", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help=help
    )
