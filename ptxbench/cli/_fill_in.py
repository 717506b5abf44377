"""The command line with an argument for each parameter, for a launch that was given none."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ptxbench import kernel_names

if TYPE_CHECKING:
    from ptxbench.emulator.syntax import Function
    from ptxbench.exec_program import ExecProgram

BLOCK = 256
MOST_THREADS = 1024
SHARED_BYTES = 4096


def no_arguments(program: ExecProgram, function: Function) -> str:
    """The message for a kernel with parameters and no --arg: its signature, and the whole command to copy."""
    from ptxbench.arguments import option, signature, templates

    name, count = kernel_names.short(function.name), len(function.params)
    declared = program.declared(function)
    words = [*command_words(click.get_current_context()), *launch_words(program, function)]
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


def launch_words(program: ExecProgram, function: Function) -> Iterator[str]:
    """--grid and --block for the sizes of the templates, and --shared, unless they were given.

    Those of the block and of shared memory are the numbers of the host code's launches, where these agree. Else the
    block is that of __launch_bounds__, which is often the only one for which a kernel works.
    """
    from ptxbench.arguments import ELEMENTS
    from ptxbench.launch_notes import used_variables

    source = click.get_current_context().get_parameter_source
    given = {name for name in ("grid", "block", "shared") if source(name) is ParameterSource.COMMANDLINE}
    blocks, shared_bytes = launches_in_host_code(program, function)
    bound = function.directives.get(".maxntid", ())
    required = function.directives.get(".reqntid")
    allowed = math.prod(blocks) <= (math.prod(bound) if bound else MOST_THREADS)
    block = required or (blocks if blocks and allowed else (math.prod(bound),) if bound else (BLOCK,))
    if not given & {"grid", "block"}:
        yield from ("--grid", str(-(-ELEMENTS // math.prod(block))))
        if not required:
            yield from ("--block", ",".join(map(str, block)))
    used = used_variables(program.module, function, program.text)
    if "shared" not in given and any(variable.space == "shared" and variable.count is None for variable in used):
        yield from ("--shared", str(shared_bytes or SHARED_BYTES))


def launches_in_host_code(program: ExecProgram, function: Function) -> tuple[tuple[int, ...], int]:
    """The threads of a block and the bytes of shared memory of all launches of the kernel in its file; () and 0 where
    they differ, or are not numbers."""
    from ptxbench.draft import host_launch

    if program.language != "cuda":
        return (), 0
    name = kernel_names.unqualified(kernel_names.without_arguments(kernel_names.short(function.name)))
    launches = host_launch.all_of(program.path.read_text("utf-8-sig", errors="replace"), name, {})
    return agreed(launch.block for launch in launches), sum(agreed(launch.shared_bytes for launch in launches))


def agreed(extents: Iterable[str | None]) -> tuple[int, ...]:
    """(16, 4) if all are "(16, 4)", and (4,) if all are "4"; () for different ones and other expressions."""
    different = set(extents)
    text = (different.pop() or "") if len(different) == 1 else ""
    return tuple(map(int, re.findall(r"\d+", text))) if re.fullmatch(r"\d+|\((\d+, )+\d+\)", text) else ()
