"""Texts that are not what they were given as: PTX as CUDA C, Python, a diff, code in the fences of a chat.

Asked after a compiler or a parser has refused a text, so a mark may be one that a right text could have. Knows text
only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """What shows that a text is of another kind, and what to say then."""

    pattern: str
    advice: str
    languages: tuple[str, ...] = ("cuda", "ptx")
    """The languages that the text may have been given as."""


MARKS = (
    Mark(r"^[ \t]*```", "this is a fence of Markdown; keep only the text between the fences"),
    Mark(r"^[ \t]*\.version[ \t]+\d", "this is PTX, where CUDA C is expected; give it as a .ptx file", ("cuda",)),
    Mark(r"\b__global__\b", "this is CUDA C, where PTX is expected; give it as a .cu file", ("ptx",)),
    Mark(
        r"^(?:import [\w.]+(?: as \w+)?[ \t\r]*$|from [\w.]+ import\b|class \w+\([\w., ]*\):|[ \t]*def \w+\()",
        "this is Python; keep only the text of a kernel in CUDA C or PTX",
    ),
    Mark(r"^(?:diff --git |@@ -\d+(?:,\d+)? \+\d+)", "this is a diff; give the whole text that it leads to"),
    Mark(r"^[ \t]*(?:__kernel|kernel)[ \t]+void\b", "this is OpenCL or Metal, where CUDA C is expected", ("cuda",)),
    Mark(r"\A[ \t\n]*[\[{][ \t\n]*(?=\"\w+\")", "this is JSON; keep only the text of the kernel"),
    Mark(r"^[ \t]*</?[a-z_]+>[ \t\r]*$", "this line is a tag; keep only the text of the kernel"),
    Mark(r"&(?:lt|gt|amp|quot);", "this is text of HTML; write the character itself, such as '<' instead of '&lt;'"),
    Mark(
        r"\A\s*(?:c|cc|cpp|c\+\+|cu|cuda|ptx)[ \t\r]*$",
        "this is the language of a fence of Markdown; leave the line out",
    ),
    Mark(r"^[ \t]*1[ \t:|]+\S[^\n]*\n[ \t]*2[ \t:|]", "the lines begin with their numbers; leave these out"),
)
"""The first one in a text counts."""

PROSE = Mark(
    r"^[>*_\d.\- ]*[A-Z][a-z']*[,!:]?[*_]*(?: [^\s{}=]+){2,}(?<=[\w)\"'`*])[.:!][*_]*[ \t\r]*$"  # a sentence
    r"|^\#{1,6} [A-Z][a-z]|^\*\*[^*\n]+\*\*:?[ \t\r]*$",  # a heading, and a bold line, of Markdown
    "this is text, not code; keep only the text of the kernel, or make it a comment",
)
"""Counts only in a text without any other mark, because it often comes before one, such as a fence."""

SKIPPED = r'//[^\n]*|/\*(?:.*?\*/|.*)|"(?:\\.|[^"\\\n])*"'
"""Comments, also one that does not end, and strings."""


def foreign_mark(text: str, language: str) -> tuple[int, str] | None:
    """The line of the first mark of another kind of text, outside of comments and strings, and what to do about it."""
    return first([mark for mark in MARKS if language in mark.languages], text) or first([PROSE], text)


def first(marks: Sequence[Mark], text: str) -> tuple[int, str] | None:
    """The line of the first of these marks in a text, and its advice."""
    pattern = "|".join([*(f"({mark.pattern})" for mark in marks), SKIPPED])
    match = next((match for match in re.finditer(pattern, text, re.M | re.S) if match.lastindex), None)
    if match is None or match.lastindex is None:
        return None
    return text.count("\n", 0, match.start()) + 1, marks[match.lastindex - 1].advice
