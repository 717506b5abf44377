"""Makes bugs from positions in a text: the number and the code of the line. Knows the comments of PTX and CUDA C."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ptxbench.bugs.bug import Bug, Change
from ptxbench.toolchain.comments import without_comments

Edit = tuple[str, str, list[Change]]
"""Kind, words, changes."""


class CodeLines:
    """The lines of a text, without comments."""

    def __init__(self, text: str) -> None:
        self.code = without_comments(text)
        self.starts = [0, *(at + 1 for at, character in enumerate(text) if character == "\n")]

    def number(self, at: int) -> int:
        return bisect_right(self.starts, at)

    def bug(self, kind: str, edit: str, changes: list[Change]) -> Bug:
        line = self.number(min(start for start, _, _ in changes))
        end = self.starts[line] if line < len(self.starts) else len(self.code)
        return Bug(kind, edit, line, " ".join(self.code[self.starts[line - 1] : end].split()), tuple(changes))


def numbered(bugs: Iterable[Bug]) -> Iterator[Bug]:
    """The bugs, each with its number among the bugs with the same edit and code."""
    seen: Counter[tuple[str, str]] = Counter()
    for bug in bugs:
        seen[bug.edit, bug.code] += 1
        yield replace(bug, which=seen[bug.edit, bug.code])
