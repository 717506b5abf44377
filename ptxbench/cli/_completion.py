"""Shell completion: the values that a TAB offers for an argument or an option.

Knows where names are listed: in file names, in tables, in ptxas. Executes no pair file, so that a TAB answers at once
and a broken file does no harm. Nothing is printed except the answer: a mistake only means that nothing is offered.
"""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, shell_complete, split_arg_string

from ptxbench.errors import PtxbenchError

VARIABLE = "_PTXBENCH_COMPLETE"
"""The environment variable by which the shell's script asks: `bash_complete`, or `bash_source` for the script."""

Known = Callable[[Sequence[str]], Iterable[str]]
"""The values for the words of a command line.

Words, and not what click has parsed: at an option without its value, click gives up and knows nothing.
"""

MOST_RUNS = 20
"""Recorded runs that are offered, the newest first."""


def complete(group: click.Group, asked: str) -> int:
    """Answer the shell on stdout; the exit status. `asked`: the value of VARIABLE."""
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # noqa: PTH123
            parent = click.Context(
                group, **group.context_settings
            )  # whose -h a command keeps from its first context on
            if words[1:] and (command := group.get_command(parent, words[1])):
                # `gate audit` and `check --audit` are commands that the context of another command finds
                attach(command.make_context(words[1], words[2:], parent, resilient_parsing=True).command, words)
            return shell_complete(group, {}, "ptxbench", VARIABLE, asked)
    except Exception:  # a message would appear in the middle of a command line
        return 1


def attach(command: click.Command, words: Sequence[str]) -> None:
    """Let the parameters of the command, and of those below it, offer what they take."""
    for parameter in command.params:
        if known := values_of(parameter):
            offer = partial(offered, parameter, known, words)
            parameter.shell_complete = offer  # type: ignore[method-assign]
    for subcommand in getattr(command, "commands", {}).values():
        attach(subcommand, words)


def offered(
    parameter: click.Parameter, known: Known, words: Sequence[str], context: click.Context, incomplete: str
) -> list[CompletionItem[Any]]:
    """The known values that go on from what is typed; file names too where the parameter takes files."""
    before, comma, last = incomplete.rpartition(",") if parameter.name == "columns" else ("", "", incomplete)
    names = [before + comma + name for name in known(words) if name.startswith(last)]
    takes_files = "FILE" in (parameter.metavar or "") or known is runs
    files = [CompletionItem(incomplete, type="file")] if takes_files else []
    return [*files, *map(CompletionItem, dict.fromkeys(names))]  # in Bash, files must come first


# ---- what is known


def value_of(option: str, words: Sequence[str]) -> str | None:
    """The value of an option on the command line."""
    values = [after for word, after in pairwise(words) if word == option]
    values += [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    return values[-1] if values else None


def kernels_of(words: Sequence[str]) -> Path:
    from ptxbench.cli._kernels import VARIABLE as KERNELS
    from ptxbench.discovery import default_kernels

    folder = value_of("--kernels", words) or os.environ.get(KERNELS)
    return Path(folder).expanduser() if folder else default_kernels()


def pairs(words: Sequence[str]) -> Iterable[str]:
    from ptxbench.discovery import find_pairs

    return find_pairs(kernels_of(words))


def variants(words: Sequence[str]) -> Iterable[str]:
    """Those of the pairs on the command line, else of all pairs."""
    from ptxbench.discovery import find_pairs, sources

    kernels = kernels_of(words)
    known = find_pairs(kernels)
    result: list[str] = []
    for name in [name for name in known if name in words] or known:
        with contextlib.suppress(PtxbenchError):
            result += [source.variant for source in sources(kernels, name, flags_of(kernels, name))]
    return sorted(set(result))


def flags_of(kernels: Path, pair: str) -> Mapping[str, Sequence[str]]:
    """The names of the pair's options of NVRTC, as far as its text has them: it is not executed."""
    from ptxbench.discovery.text import PairText

    field = PairText.read(kernels / "pairs" / f"{pair}.py").field("flags")
    keys = field.keys if isinstance(field, ast.Dict) else []
    return {key.value: () for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def metrics(words: Sequence[str]) -> Iterable[str]:
    from ptxbench.metrics import BY_NAME

    return BY_NAME


def architectures(words: Sequence[str]) -> Iterable[str]:
    """Those of ptxas; without it, those with known figures."""
    from ptxbench.errors import ToolMissing
    from ptxbench.specifications import BY_ARCHITECTURE
    from ptxbench.toolchain.trial import targets

    try:
        return targets()
    except ToolMissing:
        return BY_ARCHITECTURE


def runs(words: Sequence[str]) -> Iterable[str]:
    """Names of saved runs: as counted from the last one, then ids."""
    from ptxbench.saved_runs import NEWEST, saved_files, saved_runs

    results = Path(value_of("--results", words) or "results").expanduser()
    count = min(len(saved_runs(results)), MOST_RUNS)
    names = [f"{NEWEST}~{back}" if back else NEWEST for back in range(count)]
    return [*names, *(match[2] for _, match in reversed(saved_files(results)[-MOST_RUNS:]))]


def documents(words: Sequence[str]) -> Iterable[str]:
    from ptxbench.cli.schema import schemas

    return schemas()


BY_OPTION: Mapping[str, Known] = {
    "--pair": pairs,
    "--variant": variants,
    "--reference": variants,
    "--columns": metrics,
    "--metric": metrics,
    "--arch": architectures,
    "--target": architectures,
    "--base": runs,
    "--replay": runs,
}
BY_ARGUMENT: Mapping[str, Known] = {"run": runs, "[RUN]...": runs, "base": runs, "head": runs, "[NAME]": documents}
"""By how the help shows the argument, or else by its name."""


def values_of(parameter: click.Parameter) -> Known | None:
    """What the parameter takes; None if it has a list of its own, or no list."""
    if isinstance(parameter.type, click.Choice):
        return None
    if isinstance(parameter, click.Option):
        return next((known for name, known in BY_OPTION.items() if name in parameter.opts), None)
    return pairs if "PAIR" in (parameter.metavar or "") else BY_ARGUMENT.get(parameter.metavar or parameter.name or "")
