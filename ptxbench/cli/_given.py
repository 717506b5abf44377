"""Which options the command line gives, to refuse those that would have no effect."""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.core import ParameterSource

from ptxbench.errors import UsageError


def refuse(why: str, parameters: Iterable[str]) -> None:
    """Raise UsageError, which begins with `why`, if the command line gives options of these parameters."""
    if options := given(parameters):
        raise UsageError(f"{why} Leave out {', '.join(options)}.")


def given(parameters: Iterable[str]) -> list[str]:
    """The options on the command line that set these parameters of the current command, such as --size."""
    context, names = click.get_current_context(), set(parameters)
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in names and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
