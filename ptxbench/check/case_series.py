"""Test cases of one kind. The first case that the pair's own kernels pass is the one that counts."""

from __future__ import annotations

from collections.abc import Iterator

from ptxbench.check.launching import CheckCase


class CaseSeries:
    """Cases of one kind, made when needed and kept. The next one is used if the pair's own kernels fail the last one.

    `name`: the kind of size, or of data. `always_safe`: whether a launch must not fail, as with a bad access, even
    where a kernel of the pair gives wrong results.
    """

    def __init__(self, name: str, cases: Iterator[CheckCase], *, always_safe: bool = True) -> None:
        self.name = name
        self.always_safe = always_safe
        self._remaining = cases
        self.cases: list[CheckCase] = []

    def __iter__(self) -> Iterator[CheckCase]:
        number = 0
        while number < len(self.cases) or self._add():
            yield self.cases[number]
            number += 1

    def _add(self) -> bool:
        """Make the next case; whether there was one."""
        case = next(self._remaining, None)
        if case is not None:
            self.cases.append(case)
        return case is not None
