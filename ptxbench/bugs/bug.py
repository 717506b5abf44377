"""A planted bug: its kind, its place in a kernel's text, and the changed text. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

KINDS = {
    "comparison": "another comparison, or the other signedness",
    "bound": "a bound off by one",
    "offset": "an address or index off by one element",
    "lanes": "another lane mask, distance or clamp of a warp instruction",
    "barrier": "a barrier, fence or wait dropped",
    "scope": "a weaker scope or memory order",
    "atomic": "an atomic as a load, an operation and a store",
    "precision": "a value narrowed",
    "operands": "operands swapped",
    "tail": "the end of the work skipped",
    "stale": "an instruction dropped, or another register read",
}
"""The kinds of bugs, each in words."""

Change = tuple[int, int, str]
"""(start, end, text): the characters from start to end are replaced by the text."""


@dataclass(frozen=True)
class Bug:
    """One bug in a text."""

    kind: str
    """One of KINDS."""
    edit: str
    """What was changed, in a few words: `lt to le`."""
    line: int
    """The line in the text, from 1."""
    code: str
    """The original line, without comments and with single blanks."""
    changes: Sequence[Change] = field(repr=False)
    which: int = 1
    """The number of the bug among the bugs of the text with the same edit and code."""

    def planted(self, text: str) -> str:
        """The text with the bug."""
        for start, end, new in sorted(self.changes, reverse=True):
            text = text[:start] + new + text[end:]
        return text
