"""The command line with an argument for each parameter, for a launch that was given none."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ptxbench import kernel_names

if TYPE_CHECKING:
    from ptxbench.emulator.syntax import Function
    from ptxbench.exec_program import ExecProgram

BLOCK = 256
SHARED_BYTES = 4096


def no_arguments(program: ExecProgram, function: Function) -> str:
    """The message for a kernel with parameters and no --arg: its signature, and the whole command to copy."""
    from ptxbench.arguments import option, signature, templates

    name, count = kernel_names.short(function.name), len(function.params)
    declared = program.declared(function)
    words = [*command_words(click.get_current_context()), *launch_words(function), *shared_words(program, function)]
    command = " \\\n    ".join([shlex.join(words), *map(option, templates(function, declared))])
    return (
        f"'{name}' has {count} parameter{'s' if count > 1 else ''}, and no --arg was given: "
        f"{signature(function, declared)}. Change the sizes and values, and run:\n\n  {command}"
    )


def command_words(context: click.Context) -> Iterator[str]:
    """The words of the command line, in the order of the help."""
    yield from context.command_path.split()
    for parameter in context.command.params:
        name = parameter.name or ""
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(parameter, click.Option):
                yield parameter.opts[0]
            if item is not True:
                yield str(item)


def launch_words(function: Function) -> Iterator[str]:
    """--grid and --block for the sizes of the templates, if neither was given and the kernel does not require them."""
    from ptxbench.arguments import ELEMENTS

    source = click.get_current_context().get_parameter_source
    if any(source(name) is ParameterSource.COMMANDLINE for name in ("grid", "block")):
        return
    required = function.directives.get(".reqntid")
    threads = min(BLOCK, math.prod(function.directives.get(".maxntid", (BLOCK,))))
    yield from ("--grid", str(-(-ELEMENTS // (math.prod(required) if required else threads))))
    if not required:
        yield from ("--block", str(threads))


def shared_words(program: ExecProgram, function: Function) -> Iterator[str]:
    """--shared, if it was not given and the kernel uses dynamic shared memory."""
    from ptxbench.launch_notes import used_variables

    if click.get_current_context().get_parameter_source("shared") is ParameterSource.COMMANDLINE:
        return
    used = used_variables(program.module, function, program.text)
    if any(variable.space == "shared" and variable.count is None for variable in used):
        yield from ("--shared", str(SHARED_BYTES))
