"""What to write instead of a word or an option that a command does not have, or that is missing."""

from __future__ import annotations

import re
import shlex

import click

from ptxbench.errors import near

NUMBER = re.compile(r"is not a valid (integer|float)(?: range)?")
KINDS = {"integer": "whole number", "float": "number"}
"""click's types, in plain words."""


EXTRA = re.compile(r"Got unexpected extra arguments? \((.*)\)", re.S)
"""click's message about words that no argument takes."""

VALUES = {
    r"sm_\d+[af]?": ("--arch", "--target"),
    r"(?:cuda|ptx|numba|tile|triton)(?:[.@]\w+)*": ("--variant",),
    r"(?:\w+:)?\w+(?:\[.*\])?=.+": ("--arg", "--knob", "--size"),
}
"""Forms of values, and the options that take them; the first one that a command has is meant."""

MEANINGS = {
    r"s(?:h|hared)?-?mem(?:ory)?|dynamic-smem": ("--shared",),
    r"(?:num-)?threads-per-(?:block|cta)|num-threads": ("--block",),
    r"num-blocks|blocks-per-grid": ("--grid",),
    r"sm|gpu|arch|target|gpu-(?:arch\w*|name)": ("--arch", "--target"),
    r"kernel|function|name|(?:kernel|function)-name": ("--entry",),
    r"include(?:-path)?": ("-I",),
    r"define": ("-D",),
    r"use[-_]fast[-_]math|fast-math": ("--flag --use_fast_math",),
    r"workers|parallel": ("--jobs",),
}
"""Names that options have in other programs, and our options; the first one that a command has is meant."""


def of_word(word: str) -> str:
    """A hint for a word where a command is expected that is an option, a file or a pair; empty for other words."""
    from ptxbench.discovery import SUFFIXES

    if word in ("help", "version"):
        return f" Did you mean '--{word}'?"
    if "." in word and f".{word.rpartition('.')[2]}" in SUFFIXES.values():
        return f" For a file, write a command before it: ptxbench exec {shlex.quote(word)}, or show, arch or check."
    return f" It is a pair: ptxbench run {word}." if is_pair(word) else ""


def of_run(name: str, command: click.Command | None) -> str:
    """A hint if the name of a run that does not exist is the name of a pair; else empty."""
    if not is_pair(name):
        return ""
    if command and any("--pair" in parameter.opts for parameter in command.params):
        return f" '{name}' is a pair: write --pair {name}."
    return f" '{name}' is a pair: ptxbench run {name} makes a run of it."


def of_value(word: str, command: click.Command | None) -> str:
    """A hint if a word that stands alone is a value of one of the command's options; else empty."""
    known = {option for parameter in command.params for option in parameter.opts} if command else set()
    options = next((options for form, options in VALUES.items() if re.fullmatch(form, word)), ())
    option = next((option for option in options if option in known), None)
    return f" Did you mean '{option} {word}'?" if option else ""


def with_hint(error: click.UsageError) -> click.UsageError:
    """The error with a hint, instead of click's own choice."""
    if isinstance(error, click.NoSuchOption):
        text = f"No such option '{error.option_name}'.{of_option(error)}"
        return click.NoSuchOption(error.option_name, text, ctx=error.ctx)
    if isinstance(error, click.MissingParameter) and error.param and "--pair" in error.param.opts:
        return click.UsageError(f"{error.format_message()}{of_missing_pair(error)}", ctx=error.ctx)
    if isinstance(error, click.BadParameter):
        message = NUMBER.sub(lambda match: f"is not a {KINDS[match[1]]}", error.message)
        return (
            click.BadParameter(message, error.ctx, error.param, error.param_hint) if message != error.message else error
        )
    if error.ctx and (extra := EXTRA.fullmatch(error.message)):
        hint = of_value(extra[1].split(" ")[0], error.ctx.command)
        return click.UsageError(f"{error.message}.{hint}", error.ctx) if hint else error
    return error


def of_option(error: click.NoSuchOption) -> str:
    """The option of the command that has a near name or means the same, or its argument of that name."""
    if error.ctx is None:
        return ""
    command, name = error.ctx.command, error.option_name.removeprefix("--")
    parameters = command.get_params(error.ctx)
    options = [option for option in parameters if isinstance(option, click.Option) and not option.hidden]
    names = [option.removeprefix("--") for parameter in options for option in parameter.opts if option.startswith("--")]
    if close := near(name, names):
        return f" Did you mean '--{close[0]}'?"
    if isinstance(command, click.Group):
        return " Write the options of a command after its name."
    for argument in parameters:
        if isinstance(argument, click.Argument) and name.upper() in re.findall(
            "[A-Z]+", argument.make_metavar(error.ctx)
        ):
            return f" Write the {name} without an option: {error.ctx.command_path} {name.upper()}."
    known = [option for parameter in options for option in parameter.opts]
    meant = [option for form, ours in MEANINGS.items() if re.fullmatch(form, name) for option in ours]
    by_word = [f"--{word}" for word in re.split("[-_]", name)]  # shared-bytes, grid_size
    return next((f" Did you mean '{option}'?" for option in (*meant, *by_word) if option.split()[0] in known), "")


def of_missing_pair(error: click.MissingParameter) -> str:
    """The pair among the files, or where to find the names of pairs."""
    files = map(str, error.ctx.params.get("files", ()) if error.ctx else ())
    pair = next(filter(is_pair, files), None)
    return f" Did you mean '--pair {pair}'?" if pair else " `ptxbench list` shows the pairs."


def is_pair(name: str) -> bool:
    from ptxbench.discovery import default_kernels
    from ptxbench.discovery.suggestions import names_of

    return name in names_of(default_kernels())
