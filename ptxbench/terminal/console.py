"""The console for all output: text from a file has no markup there, and no control characters."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Span, Text

from ptxbench.safe_text import log_text, plain

NARROWEST = 40
"""Columns of the narrowest table. In a narrower terminal the terminal itself breaks its lines."""

BLANK_ENDS = re.compile(r"(?<! )(?: |\x1b\[[\d;]*m)* (?:\x1b\[[\d;]*m)*(?=\n)")
"""Blanks at the end of a line, with the styles between and after them. Rich pads every row of a table."""

STAND_INS = {"×": "x", "µ": "u", "…": ">"}
"""Replacements of the same width for characters that an encoding may lack: in units, and at the end of a cut row."""


def encodable(text: str, encoding: str | None) -> str:
    """The text with stand-ins for characters that the encoding lacks; without an encoding, the text."""
    for character, stand_in in STAND_INS.items():
        if character in text and encoding:
            try:
                character.encode(encoding)
            except UnicodeEncodeError:
                text = text.replace(character, stand_in)
    return text


def without_blank_ends(text: str) -> str:
    """The lines without blanks at their ends; their styles stay."""
    return BLANK_ENDS.sub(lambda match: match[0].replace(" ", ""), text)


class LogStream:
    """A stream in which a CI runner finds no command, no line ends in blanks, and units stay readable."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        safe = log_text(without_blank_ends(text))
        return self.stream.write(encodable(safe, getattr(self.stream, "encoding", None)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class SafeConsole(Console):
    """A console of Rich on stdout or stderr, without markup, emoji codes and highlighting."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        stream = cast(IO[str], LogStream(sys.stderr if stderr else sys.stdout))
        super().__init__(file=stream, width=width, highlight=False, markup=False, emoji=False)
        if self.width < NARROWEST:
            self.width = NARROWEST

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled, once; Rich itself would end with status 1."""
        self.quiet = True
        raise

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        # before it is wrapped, because an escape is wider than its character
        return super().render(plain_text(renderable) if isinstance(renderable, Text) else renderable, options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(plain(text), **options)


def pieces(text: str) -> Iterator[str]:
    """The replacement of each character."""
    for i, letter in enumerate(text):
        yield "" if text[i : i + 2] == "\r\n" else plain(letter)


def plain_text(text: Text) -> Text:
    """The text with invisible characters as escapes, every style at its place."""
    safe = plain(text.plain)
    if safe == text.plain:
        return text
    offsets = list(accumulate((len(piece) for piece in pieces(text.plain)), initial=0))
    copy = text.blank_copy(safe)
    copy.spans = [
        Span(offsets[span.start], offsets[min(span.end, len(offsets) - 1)], span.style) for span in text.spans
    ]
    return copy
