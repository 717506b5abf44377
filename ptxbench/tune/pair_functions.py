"""Exceptions of a pair's own functions in a sweep, as errors with file and line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptxbench.discovery import LoadedPair
from ptxbench.discovery.execute import describe, line_of
from ptxbench.discovery.text import PairText
from ptxbench.errors import PairError


def call_pair_function(
    loaded: LoadedPair, function_name: str, function: Callable[..., Any], *arguments: Any, **named: Any
) -> Any:
    """The result of a `function` of the pair. Raises PairError, with `function_name`, for any exception."""
    try:
        return function(*arguments, **named)
    except Exception as error:
        text = PairText.read(loaded.path)
        line = line_of(error, loaded.path)
        where = text.at(line) if line else text.at_function(function, ())
        raise PairError(f"{where}: {function_name} fails: {describe(error)}") from error
