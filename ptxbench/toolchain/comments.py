"""Comments, which C++ and PTX write in the same way."""

from __future__ import annotations

import re

COMMENT = re.compile(r"//[^\n]*|/\*(?:.*?\*/|.*)", re.DOTALL)


def without_comments(text: str) -> str:
    """The text with its comments replaced by blanks; positions do not change."""
    return COMMENT.sub(lambda comment: re.sub(r"[^\n]", " ", comment[0]), text)
