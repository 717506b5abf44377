"""Shell completion: the values that a TAB offers for an argument or an option.

Knows where names are listed: in file names, in tables, in ptxas. Executes no pair file, so that a TAB answers at once
and a broken file does no harm. Nothing is printed except the answer: a mistake only means that nothing is offered.
"""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, shell_complete, split_arg_string

from ptxbench.errors import PtxbenchError

VARIABLE = "_PTXBENCH_COMPLETE"
"""The environment variable with the request of the shell: `bash_complete`, or `bash_source` for the script itself."""

ListValues = Callable[[Sequence[str]], Iterable[str]]
"""A function that lists the possible values, given the words of a command line.

It gets words instead of what click has parsed, because click parses nothing if an option lacks its value.
"""

MOST_RUNS = 20
"""The most recorded runs that are offered, the newest first."""


def complete(group: click.Group, request: str) -> int:
    """Answer the shell on stdout; the exit status. `request`: the value of VARIABLE."""
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # noqa: PTH123
            # A command keeps the -h of the first context that it gets.
            parent = click.Context(group, **group.context_settings)
            if words[1:] and (command := group.get_command(parent, words[1])):
                # `gate audit` and `check --audit` are commands that the context of another command finds
                attach(command.make_context(words[1], words[2:], parent, resilient_parsing=True).command, words)
            return shell_complete(group, {}, "ptxbench", VARIABLE, request)
    except Exception:  # a message would appear in the middle of a command line
        return 1


def attach(command: click.Command, words: Sequence[str]) -> None:
    """Let the parameters of the command, and of its subcommands, offer their possible values."""
    for parameter in command.params:
        if list_values := values_of(parameter):
            offer = partial(offered, parameter, list_values, words)
            parameter.shell_complete = offer  # type: ignore[method-assign]
    for subcommand in getattr(command, "commands", {}).values():
        attach(subcommand, words)


def offered(
    parameter: click.Parameter, list_values: ListValues, words: Sequence[str], context: click.Context, incomplete: str
) -> list[CompletionItem[Any]]:
    """The possible values that begin with what is typed; file names too if the parameter takes files."""
    before, comma, last = incomplete.rpartition(",") if parameter.name == "columns" else ("", "", incomplete)
    names = [before + comma + name for name in list_values(words) if name.startswith(last)]
    takes_files = "FILE" in (parameter.metavar or "") or list_values in (runs, runs_and_sweeps)
    files = [CompletionItem(incomplete, type="file")] if takes_files else []
    return [*files, *map(CompletionItem, dict.fromkeys(names))]  # in Bash, files must come first


# ---- possible values


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
    """The variants of the pairs on the command line; of all pairs if it names none."""
    from ptxbench.discovery import find_pairs, sources

    kernels = kernels_of(words)
    all_pairs = find_pairs(kernels)
    result: list[str] = []
    for name in [name for name in all_pairs if name in words] or all_pairs:
        with contextlib.suppress(PtxbenchError):
            result += [source.variant for source in sources(kernels, name, flags_of(kernels, name))]
    return sorted(set(result))


def flags_of(kernels: Path, pair: str) -> Mapping[str, Sequence[str]]:
    """The names of the pair's options of NVRTC, as far as its text shows them; the pair file is not executed."""
    from ptxbench.discovery.text import PairText

    field = PairText.read(kernels / "pairs" / f"{pair}.py").field("flags")
    keys = field.keys if isinstance(field, ast.Dict) else []
    return {key.value: () for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def metrics(words: Sequence[str]) -> Iterable[str]:
    from ptxbench.metrics import BY_NAME

    return BY_NAME


def architectures(words: Sequence[str]) -> Iterable[str]:
    """The targets of ptxas; without ptxas, the architectures with known figures."""
    from ptxbench.errors import ToolMissing
    from ptxbench.specifications import BY_ARCHITECTURE
    from ptxbench.toolchain.trial import targets

    try:
        return targets()
    except ToolMissing:
        return BY_ARCHITECTURE


def runs(words: Sequence[str]) -> Iterable[str]:
    """Names of saved runs: first `latest`, `latest~1` and so on, then ids."""
    from ptxbench.saved_runs import RUNS

    return names_of_saved(words, RUNS)


def runs_and_sweeps(words: Sequence[str]) -> Iterable[str]:
    """As `runs`; `latest` counts sweeps too."""
    from ptxbench.saved_runs import RUNS_AND_SWEEPS

    return names_of_saved(words, RUNS_AND_SWEEPS)


def names_of_saved(words: Sequence[str], kinds: Collection[str | None]) -> Iterable[str]:
    from ptxbench.saved_runs import NEWEST, saved_files

    saved = saved_files(Path(value_of("--results", words) or "results").expanduser())
    count = min(sum(match[3] in kinds for _, match in saved), MOST_RUNS)
    names = [f"{NEWEST}~{back}" if back else NEWEST for back in range(count)]
    return [*names, *(match[2] for _, match in reversed(saved[-MOST_RUNS:]))]


def documents(words: Sequence[str]) -> Iterable[str]:
    from ptxbench.cli.schema import schemas

    return schemas()


BY_OPTION: Mapping[str, ListValues] = {
    "--pair": pairs,
    "--variant": variants,
    "--reference": variants,
    "--columns": metrics,
    "--metric": metrics,
    "--arch": architectures,
    "--target": architectures,
    "--base": runs,
}
BY_ARGUMENT: Mapping[str, ListValues] = {
    "run": runs,
    "[RUN]...": runs,
    "base": runs,
    "head": runs,
    "[RUN]": runs_and_sweeps,
    "[NAME]": documents,
}
"""By the metavar of the argument, or by its name if it has no metavar."""


def values_of(parameter: click.Parameter) -> ListValues | None:
    """The function that lists the values of a parameter; None if it has its own choices, or takes any value."""
    if isinstance(parameter.type, click.Choice):
        return None
    if isinstance(parameter, click.Option):
        return next((list_values for name, list_values in BY_OPTION.items() if name in parameter.opts), None)
    return pairs if "PAIR" in (parameter.metavar or "") else BY_ARGUMENT.get(parameter.metavar or parameter.name or "")
