"""One instantiation of a template as text: its parameters as names with a value, so that the kernel is a plain one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ptxbench import kernel_names
from ptxbench.draft.cuda import Definition, template_end
from ptxbench.toolchain.cpp_tokens import ANGLES, CLOSING, OPENING, Token
from ptxbench.toolchain.template_arguments import split

FUNCTION = re.compile(r"&\(([\w:]+)\(.*\)\)$")
"""A function as an argument, as a demangled name has it: `&(ns::square(float))`."""


def arguments_of(displayed: str, entry: str | None) -> list[str]:
    """The template arguments of the kernel `displayed`, a demangled name; the first ones as `entry` has them, the text
    of --entry, because it can name an enumerator or a function."""
    known = [FUNCTION.sub(r"\1", argument) for argument in in_brackets(displayed)]
    own = in_brackets(kernel_names.expression(entry) or "") if entry else []
    return [*own, *known[len(own) :]] if len(own) <= len(known) else known


def in_brackets(name: str) -> list[str]:
    """The template arguments at the end of a name."""
    text = name[kernel_names.argument_start(name) + 1 : -1]
    return split(text.replace("(anonymous namespace)::", "")) if text else []


def named_arguments(text: str, template: Definition, arguments: Sequence[str]) -> list[str] | None:
    """A line for each parameter of a template that has a name: `using T = float;`, `constexpr int N = 4;`.

    None for a parameter pack or a template as parameter, and if there are not as many arguments as parameters.
    """
    parameters = list(parameters_of(template))
    if len(parameters) != len(arguments):
        return None
    lines = [line_for(text, *pair) for pair in zip(parameters, arguments, strict=True)]
    return None if None in lines else [line for line in lines if line]


def parameters_of(template: Definition) -> Iterator[Sequence[Token]]:
    """The tokens of each parameter of a template, without its default."""
    head = template.head[2 : template_end(template.head) - 1]
    depth, start, end = 0, 0, None
    for at, token in enumerate(head):
        if token.kind == "mark" and depth == 0 and token.text in ("=", ","):
            end = at if end is None else end
            if token.text == ",":
                yield head[start:end]
                start, end = at + 1, None
        if token.kind == "mark":
            depth += (token.text in OPENING) - (token.text in CLOSING) + ANGLES.get(token.text, 0)
    yield head[start:end]


def line_for(text: str, parameter: Sequence[Token], argument: str) -> str | None:
    """The line that gives a parameter of a template its value; empty for one without a name, None if there is none."""
    words = [token.text for token in parameter]
    if not words or words[0] == "template" or "..." in "".join(words):
        return None
    if len(words) == 1:
        return ""
    if words[0] in ("typename", "class") and len(words) == 2:
        return f"using {words[1]} = {argument};"
    first = parameter[1] if words[0] == "const" else parameter[0]
    return f"constexpr {text[first.start : parameter[-1].end]} = {argument};"
