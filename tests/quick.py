"""Which parameters of a large family `make test` runs. The others are marked long: CI runs them, and `-m ""` here."""

import pytest


def every(step, values):
    """The values as parameters: the first of each `step` is quick, the others are long. A tuple has several of them."""
    return [parameter(value, is_quick=number % step == 0) for number, value in enumerate(values)]


def first_of_each(key, values):
    """The values as parameters: the first one of each `key(value)` is quick, the others are long."""
    keys = [key(value) for value in values]
    return [parameter(value, is_quick=keys[number] not in keys[:number]) for number, value in enumerate(values)]


def parameter(value, *, is_quick):
    arguments = value if isinstance(value, tuple) else (value,)
    return pytest.param(*arguments, marks=[] if is_quick else pytest.mark.long)
