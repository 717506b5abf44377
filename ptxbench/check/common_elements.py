"""Inputs that have elements of other inputs, so that a search, a comparison or a match finds something.

Knows pairs, but no kernels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ptxbench.check.element_ranges import ElementRange, range_of_element
from ptxbench.pair import In, Pair

COMMON = "elements of another input"
"""The name of such data."""

MOST_RUNS, LONGEST_RUN = 64, 16
"""The most runs of such elements, and the most elements of one."""


def with_common_elements(
    pair: Pair, arguments: Mapping[str, Any], names: Collection[str], seed: int
) -> Mapping[str, Any] | None:
    """Arguments in which the inputs `names` have runs of elements of other inputs of the same type, one element of
    every second run a little different; None if no input has any. If that would change all inputs of a type, the
    shortest one stays as it is: a pattern is then in the text."""
    changed: dict[str, Any] = {}
    inputs = [arg for arg in pair.args if isinstance(arg, In) and arguments[arg.name].size]
    ranges = {arg.name: range_of_element(arg) if arg.name in names else None for arg in inputs}
    for index, arg in enumerate(inputs):
        limits, alike = ranges[arg.name], [other for other in inputs if other.dtype == arg.dtype]
        others = [arguments[other.name].reshape(-1) for other in alike if other is not arg]
        shortest = min(alike, key=lambda other: arguments[other.name].size)
        stays = arg is shortest and all(ranges[other.name] is not None for other in alike)
        if limits is None or stays or not others:
            continue
        rng, flat = np.random.default_rng([seed, index]), arguments[arg.name].reshape(-1).copy()
        for number in range(min(MOST_RUNS, -(-flat.size // 2))):
            other = others[rng.integers(len(others))]
            first = rng.integers(other.size) if number % 4 > 1 else 0  # a pattern matches only from its start on
            run = other[first : first + LONGEST_RUN].copy()
            if limits.whole is not None:
                run = np.clip(run, *limits.whole)
            if number % 2:
                at = rng.integers(run.size)
                run[at] = neighbour(run[at], limits, rng)
            start = rng.integers(max(flat.size - run.size, 0) + 1)
            flat[start : start + run.size] = run[: flat.size - start]
        changed[arg.name] = flat.reshape(arguments[arg.name].shape)
    return {**arguments, **changed} if changed else None


def neighbour(value: Any, limits: ElementRange, rng: np.random.Generator) -> Any:
    """The next number of a floating-point type towards zero; a whole number with another bit, if that is legal."""
    if limits.whole is None:
        return np.nextafter(value, limits.dtype.type(0))
    low, high = limits.whole
    other = int(value) ^ 1 << int(rng.integers(max(high.bit_length(), 1)))
    return other if low <= other <= high else value
