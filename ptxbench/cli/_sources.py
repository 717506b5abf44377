"""The options for reading a .cu or .ptx file, shared by all commands that read one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ptxbench.errors import UsageError

Command = Callable[..., Any]


def source_options(
    entry: str = "The kernel, if FILE has several", *, several: bool = False
) -> Callable[[Command], Command]:
    """--entry, -I, -D, --std and --flag. The command gets them as one argument, `source`: a SourceOptions.

    `entry`: the first words of the help of --entry. `several`: --entry may be repeated, and the command gets `sources`:
    a SourceOptions for each, at least one.
    """
    options = (
        click.option(
            "--entry",
            "entries",
            multiple=True,
            metavar="NAME",
            help=f"{entry}: a name, also with namespace, or an instantiation of a template, such as 'ns::k<float, 4>'.",
        ),
        click.option(
            "-I",
            "include",
            multiple=True,
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="Search this folder for the files that FILE.cu includes; repeat.",
        ),
        click.option(
            "-D", "defines", multiple=True, metavar="NAME[=VALUE]", help="Define a macro for FILE.cu; repeat."
        ),
        click.option("--std", "standard", metavar="STANDARD", help="The C++ standard of FILE.cu.  [default: c++17]"),
        click.option(
            "--flag",
            "flags",
            multiple=True,
            metavar="OPTION",
            help="A further option of NVRTC for FILE.cu, such as --use_fast_math; repeat.",
        ),
    )

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_source(
            *positional: Any,
            entries: tuple[str, ...],
            include: tuple[Path, ...],
            defines: tuple[str, ...],
            standard: str | None,
            flags: tuple[str, ...],
            **others: Any,
        ) -> Any:
            from ptxbench.toolchain.options import SourceOptions

            entry_names: tuple[str | None, ...] = entries or (None,)
            sources = tuple(SourceOptions(entry, include, defines, standard, flags) for entry in entry_names)
            if several:
                return command(*positional, sources=sources, **others)
            if len(sources) > 1:
                raise UsageError(f"--entry is given {len(sources)} times. Give it once.")
            return command(*positional, source=sources[0], **others)

        for option in reversed(options):
            with_source = option(with_source)
        return with_source

    return decorate
