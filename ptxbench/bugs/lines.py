"""From places in a text to bugs: the number and the code of a line. Knows comments, which PTX and CUDA C share."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ptxbench.audit.kernel import without_comments
from ptxbench.bugs.bug import Bug, Change

Edit = tuple[str, str, list[Change]]
"""Kind, words, changes."""


class CodeLines:
    """The lines of a text, without comments."""

    def __init__(self, text: str) -> None:
        self.code = without_comments(text)
        self.starts = [0, *(at + 1 for at, each in enumerate(text) if each == "\n")]

    def number(self, at: int) -> int:
        return bisect_right(self.starts, at)

    def bug(self, kind: str, edit: str, changes: list[Change]) -> Bug:
        line = self.number(min(start for start, _, _ in changes))
        end = self.starts[line] if line < len(self.starts) else len(self.code)
        return Bug(kind, edit, line, " ".join(self.code[self.starts[line - 1] : end].split()), tuple(changes))


def numbered(bugs: Iterable[Bug]) -> Iterator[Bug]:
    """The bugs, each with its number among those that look like it."""
    seen: Counter[tuple[str, str]] = Counter()
    for each in bugs:
        seen[each.edit, each.code] += 1
        yield replace(each, which=seen[each.edit, each.code])
