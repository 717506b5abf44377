"""Sentences in lines of the terminal's width, in which a number keeps its unit and no word is broken without need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.style import Style
from rich.text import Text

NUMBER_AND_UNIT = re.compile(r"(?<=\d) (?=(?:%|×|[kMGT]i?(?:B\b|\b)|B\b|[nµm]?s\b|[kMGT]?(?:B|flop)/s\b))")
"""The blank between a number and its unit: `4.8 %`, `262 k`, `3.35 TB/s`, `12 µs`."""

GLUE = "\N{NO-BREAK SPACE}"

LONG_WORD = 20
"""From this length on a word without blanks, such as a path or an instruction, may continue in the next line."""

JOINTS = re.compile(r"(?<=/)(?=[^/])"), re.compile(r"(?<=[.:,;=|}_-])(?=[^.:,;=|}_-])")
"""Where such a word is broken: after a slash, and in what is then still long, after another separator."""


def wrapped(text: str, width: int) -> Iterator[str]:
    """The text in lines of at most `width` columns, each with the indentation of its first."""
    for line in text.split("\n"):
        start = len(line) - len(line.lstrip(" "))
        indent = line[:start][: width // 2]
        room = max(width - len(indent), 1)
        words = NUMBER_AND_UNIT.sub(GLUE, line[start:].rstrip(" ")).split(" ")
        yield from (indent + part.rstrip(" ").replace(GLUE, " ") for part in filled(words, room))


def filled(words: Sequence[str], room: int) -> Iterator[str]:
    """Lines with as many words as fit. A word that is longer than a line begins one, and continues in the next."""
    line = words[0] if cell_len(words[0]) <= room else ""
    for word in words[bool(line) :]:
        if line and cell_len(line) + 1 + cell_len(word) <= room:
            line += f" {word}"
            continue
        if line:
            yield line
        line = ""
        for piece in pieces(word, room):
            if line and cell_len(line) + cell_len(piece) > room:
                yield line
                line = ""
            line += piece
    yield line


def least_width(text: str) -> int:
    """The least width at which no word is broken, except long ones at their joints."""
    words = NUMBER_AND_UNIT.sub(GLUE, text).split()
    return max((cell_len(piece) for word in words for piece in pieces(word)), default=0)


def pieces(word: str, room: int | None = None) -> list[str]:
    """The parts of a word between which it may be broken; none longer than `room`."""
    parts = [word]
    for joint in JOINTS:
        parts = [part for piece in parts for part in (joint.split(piece) if len(piece) > LONG_WORD else [piece])]
    if room is None:
        return parts
    return [part for piece in parts for part in chop_cells(piece, room)]


class Prose:
    """Sentences, of which no line is longer than the space for them. Nothing is left out."""

    def __init__(self, text: str, style: str | Style = "") -> None:
        self.text, self.style = text, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("\n".join(wrapped(self.text, options.max_width)), self.style, overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        most = max(map(cell_len, self.text.split("\n")))
        return Measurement(least_width(self.text), most).with_maximum(options.max_width)
