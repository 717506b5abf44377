"""Exceptions of a pair's own functions in a sweep, as errors with file and line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptxbench.discovery import LoadedPair
from ptxbench.discovery.execute import describe, line_of
from ptxbench.discovery.text import PairText, Step
from ptxbench.errors import PairError


def call_pair_function(
    loaded: LoadedPair,
    function_name: str,
    function: Callable[..., Any],
    *arguments: Any,
    problem_of: Callable[[Any], str | None] = lambda value: None,
    part: tuple[Step, ...] = ("sweep",),
) -> Any:
    """The result of a `function` of the pair. `problem_of`: what is wrong with a result, in a sentence.
    `part`: the part of the pair that has the function.

    Raises PairError, with `function_name`, for any exception and for a wrong result.
    """
    try:
        value = function(*arguments)
    except Exception as error:
        text = PairText.read(loaded.path)
        line = line_of(error, loaded.path)
        where = text.at(line) if line else text.at_function(function, part)
        raise PairError(f"{where}: {function_name} fails: {describe(error)}") from error
    if problem := problem_of(value):
        where = PairText.read(loaded.path).at_function(function, part)
        raise PairError(f"{where}: {function_name} returns {value!r}. {problem}")
    return value
