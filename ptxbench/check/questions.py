"""One question: cases of one kind. The first one that the pair's own kernels pass counts."""

from __future__ import annotations

from collections.abc import Iterator

from ptxbench.check.launching import CheckCase


class Question:
    """Cases of one kind, made when needed and kept. The next one is used if the pair's own kernels fail the last one.

    `name`: the kind of size, or of data.
    """

    def __init__(self, name: str, cases: Iterator[CheckCase]) -> None:
        self.name = name
        self._rest = cases
        self.made: list[CheckCase] = []

    def __iter__(self) -> Iterator[CheckCase]:
        number = 0
        while number < len(self.made) or self._make():
            yield self.made[number]
            number += 1

    def _make(self) -> bool:
        """Make the next case; whether there was one."""
        case = next(self._rest, None)
        if case is not None:
            self.made.append(case)
        return case is not None
