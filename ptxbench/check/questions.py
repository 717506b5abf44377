"""One question: cases of one kind, of which the first that is not beyond the pair counts."""

from __future__ import annotations

from collections.abc import Iterator

from ptxbench.check.launching import CheckCase


class Question:
    """Cases of one kind, made when they are asked for and kept; each next one is for when the last is beyond the pair.

    `name` says what kind: a kind of size, or of data.
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
        """Make one case more; whether there was one."""
        case = next(self._rest, None)
        if case is not None:
            self.made.append(case)
        return case is not None
