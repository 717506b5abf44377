"""Code that was pasted with the fences of Markdown around it, as chats give it. Knows text only."""

from __future__ import annotations

import re

FENCE = re.compile(r"/\*.*?\*/|^[ \t]*(?P<fence>```)", re.M | re.S)

ADVICE = "this is a fence of Markdown; keep only the text between the fences"


def fence_line(text: str) -> int | None:
    """The line of the first fence outside of a comment; None if there is none."""
    fence = next((match for match in FENCE.finditer(text) if match["fence"]), None)
    return text.count("\n", 0, fence.start()) + 1 if fence else None
