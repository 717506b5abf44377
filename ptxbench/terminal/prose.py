"""Sentences in lines of the terminal's width, in which a number keeps its unit."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.style import Style
from rich.text import Text

NUMBER_AND_UNIT = re.compile(r"(?<=\d) (?=(?:%|×|[kMGT]i?(?:B\b|\b)|B\b|[nµm]?s\b|[kMGT]?(?:B|flop)/s\b))")
"""The blank between a number and its unit: `4.8 %`, `262 k`, `3.35 TB/s`, `12 µs`."""

GLUE = "\N{NO-BREAK SPACE}"


class Prose:
    """Sentences, of which no line is longer than the space for them; a word is broken only if it is longer than that.

    A command to copy is therefore complete, at least over two lines.
    """

    def __init__(self, text: str, style: str | Style = "") -> None:
        self.text, self.style = text, style

    def lines(self, width: int) -> Iterable[str]:
        glued = NUMBER_AND_UNIT.sub(GLUE, self.text)
        for line in glued.split("\n"):
            for part in textwrap.wrap(line, max(width, 1), break_on_hyphens=False) or [""]:
                yield part.replace(GLUE, " ")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("\n".join(self.lines(options.max_width)), self.style, overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, Text(self.text))
