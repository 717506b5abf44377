"""The words of a PTX text, and a cursor over them. (PTX ISA, "Source Format", "Comments", "Identifiers".)

Whitespace, comments and the preprocessor's line markers are skipped. Nothing here knows the meaning of a word.
"""

from __future__ import annotations

import functools
import re
import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from ptxbench.errors import PtxSyntaxError, UnsupportedInstruction
from ptxbench.foreign_text import foreign_mark

TOKEN = re.compile(
    r"""(?: \n[ \t]*\#[ \t]*(?:line[ \t]*)?\d+[ \t]*"[^"\n]*"[ \t\d]*(?=\n|\Z)   # `#line 12 "made.cu"`
          | [ \t\r\f\n] | //[^\n]* | /\*.*?\*/ )*+
      (?: (?P<number>0[fF][0-9a-fA-F]{8}(?![\w$])|0[dD][0-9a-fA-F]{16}(?![\w$])|0[xX][0-9a-fA-F]+U?|0[bB][01]+U?
            |\d+\.\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?(?![\w$])|\d+[eE][+-]?\d+|\d+U?)
        | (?P<word>\.[\w$]+(?:::[\w$]+)*|(?:[A-Za-z][\w$]*|[_$%][\w$]+|_)(?:(?:\.|::)[\w$]+)*)
        | (?P<mark><<|>>|<=|>=|==|!=|&&|\|\||/(?!\*)|[{}()\[\],;:@!|+\-=<>*%&^~?])
        | (?P<string>"[^"\n]*")
        | (?P<end>\Z)
        | (?P<other>.) )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
END = ""
"""The word after the last one."""
QUOTED = 40
"""The most characters of a word in a message."""
Item = TypeVar("Item")


def syntax_error(line: int, message: str) -> PtxSyntaxError:
    return PtxSyntaxError(f"line {line}: {message}")


def unsupported(line: int, message: str) -> UnsupportedInstruction:
    """The error for valid PTX that the emulator cannot execute."""
    return UnsupportedInstruction(f"line {line}: {message}")


def foreign_error(text: str) -> PtxSyntaxError | None:
    """What to say about a text that is not PTX at all; None if it may be."""
    mark = foreign_mark(text, "ptx")
    return mark and syntax_error(mark[0], f"{mark[1]}.")


def is_number(word: str) -> bool:
    return word[:1].isdigit() or (word[:1] == "." and word[1:2].isdigit())


def is_name(word: str) -> bool:
    """Whether a register, a variable, a label or an opcode may have this name."""
    first = word[:1]
    return first.isalpha() or (first != "" and first in "_$") or (first == "%" and len(word) > 1)


def quoted(word: str) -> str:
    """`word`, quoted for a message."""
    if word == END:
        return "the end of the text"
    return f"'{word if len(word) <= QUOTED else word[:QUOTED] + '...'}'"


class SplitText(NamedTuple):
    """The words of a text, the offset of each, and the offsets of the line ends."""

    words: Sequence[str]
    starts: Sequence[int]
    newlines: Sequence[int]


@functools.lru_cache(maxsize=2)
def split(text: str) -> SplitText:
    """Split a text. The last texts are cached, because some are read twice. Raises as `Cursor` does."""
    text = text.partition("\0")[0]
    words: list[str] = []
    starts: list[int] = []
    newlines = [match.start() for match in re.finditer("\n", text)]
    for match in TOKEN.finditer(text):
        kind = match.lastgroup
        assert kind is not None
        start = match.start(kind)
        if kind == "other":
            raise foreign_error(text) or syntax_error(bisect_left(newlines, start) + 1, unexpected(text, start))
        words.append(sys.intern(match[kind]))
        starts.append(start)
        if kind == "end":
            break
    starts[-1] = starts[-2] if len(starts) > 1 else 0
    return SplitText(words, starts, newlines)


class Cursor:
    """A position among the words of a text. Raises PtxSyntaxError for characters that are not PTX.

    A NUL ends the text, as it does for the driver.
    """

    def __init__(self, text: str) -> None:
        self.words, self.starts, self.newlines = split(text)
        self.at = 0

    # ---- positions

    def line_of_offset(self, offset: int) -> int:
        return bisect_left(self.newlines, offset) + 1

    def line_at(self, at: int) -> int:
        """The line of a word, by its index."""
        return self.line_of_offset(self.starts[at])

    @property
    def line(self) -> int:
        """The line of the next word; at the end, the line of the last word."""
        return self.line_at(self.at)

    @property
    def last_line(self) -> int:
        """The line of the last word that was taken."""
        return self.line_at(max(self.at - 1, 0))

    def starts_line(self, at: int) -> bool:
        """Whether a word is on another line than the word before it."""
        return at > 0 and self.line_at(at) > self.line_at(at - 1)

    # ---- words

    @property
    def next(self) -> str:
        return self.words[self.at]

    @property
    def following(self) -> str:
        """The word after the next one."""
        return self.words[min(self.at + 1, len(self.words) - 1)]

    def take(self) -> str:
        word = self.words[self.at]
        if word != END:
            self.at += 1
        return word

    def accept(self, word: str) -> bool:
        """Take the next word if it is `word`."""
        if self.words[self.at] == word:
            self.at += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self.error(f"'{word}'")

    def error(self, expected: str) -> PtxSyntaxError:
        """The error for an unexpected next word, for the caller to raise."""
        if expected == "';'" and (self.next == END or self.starts_line(self.at)):
            return syntax_error(self.last_line, "a ';' is missing at the end of the line.")
        return syntax_error(self.line, f"expected {expected}, found {quoted(self.next)}.")

    def name(self, expected: str) -> str:
        if not is_name(self.next):
            raise self.error(expected)
        return self.take()

    def separated(self, item: Callable[[], Item]) -> list[Item]:
        """One or more items, separated by commas."""
        items = [item()]
        while self.accept(","):
            items.append(item())
        return items

    def skip_to(self, mark: str) -> None:
        """Skip everything up to and including `mark`."""
        while not self.accept(mark):
            if self.next == END:
                raise self.error(f"'{mark}'")
            self.at += 1


def unexpected(text: str, offset: int) -> str:
    """Why no PTX word can start at this offset of the text."""
    if text.startswith("/*", offset):
        return "unterminated comment."
    if text[offset] == '"':
        return "unterminated string."
    if text[offset] == "#":
        return "only a line such as '#line 12 \"file.cu\"' may start with '#'; run the preprocessor first."
    return f"unexpected character {text[offset]!r}."
