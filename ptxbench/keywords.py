"""Keyword arguments of the Python API, checked as click checks the options of the command line. A wrong one is a
UsageError before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from ptxbench.documents import display_value
from ptxbench.errors import UsageError, suggestion


def whole(name: str, value: Any, least: int) -> int:
    """The value as an int: a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise unfit(name, value, f"a whole number of at least {least}")
    return int(value)


def number(name: str, value: Any, least: float) -> float:
    """The value as a float: at least `least`, or above 0 if that is 0."""
    if isinstance(value, Real) and not isinstance(value, bool):
        converted = float(value)
        if converted >= least > 0 or converted > least == 0:
            return converted
    raise unfit(name, value, f"a number of at least {least:g}" if least else "a number above 0")


def truth(name: str, value: Any) -> bool:
    """The value as a bool: True or False, of Python or NumPy."""
    if not isinstance(value, bool | np.bool_):
        raise unfit(name, value, "True or False")
    return bool(value)


def choice(name: str, value: Any, choices: Collection[str]) -> str:
    """The value, one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        hint = suggestion(value, list(choices)) if isinstance(value, str) else ""
        raise unfit(name, value, f"one of {', '.join(choices)}", hint)
    return value


def several(name: str, values: Any) -> tuple[Any, ...]:
    """The values, which are several: a text or a size alone would be taken apart."""
    if isinstance(values, str | bytes | Mapping):
        raise unfit(name, values, f"a list, such as [{display_value(values)}]")
    try:
        return tuple(values)
    except TypeError:
        raise unfit(name, values, "a list") from None


def texts(name: str, values: Any) -> tuple[str, ...]:
    """The values, which are several texts."""
    return tuple(text(f"a value of {name}", value) for value in several(name, values))


def text(name: str, value: Any, wanted: str = "a text") -> str:
    """The value, a text; `wanted` says which."""
    if not isinstance(value, str):
        raise unfit(name, value, wanted)
    return value


def instance(name: str, value: Any, kind: type, wanted: str) -> None:
    """Raise UsageError unless the value is of the type `kind`; `wanted` says which."""
    if not isinstance(value, kind):
        raise unfit(name, value, wanted)


def sizes(name: str, values: Any) -> tuple[str, ...]:
    """Several sizes, each a text such as "n=65536" or a mapping such as {"n": 65536}, as texts."""
    return tuple(
        ",".join(f"{dimension}={number}" for dimension, number in value.items())
        if isinstance(value, Mapping)
        else text(f"a value of {name}", value, "a size, such as 'n=65536'")
        for value in several(name, values)
    )


def unfit(name: str, value: Any, wanted: str, hint: str = "") -> UsageError:
    return UsageError(f"{name} is {display_value(value)}; expected {wanted}.{hint}")
