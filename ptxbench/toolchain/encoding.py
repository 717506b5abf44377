"""What is wrong with the encoding of a source text, if the tools cannot read it. Knows bytes only."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import NamedTuple

MARKS = {
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark is a prefix of it
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""The encoding of each byte-order mark. Neither ptxas nor NVRTC accepts any of them (but see `without_mark`)."""

AS_UTF_8 = "Save the file as UTF-8 without a byte-order mark."
WITH_LINES = "Save the file with line feeds at the ends of its lines."


class EncodingProblem(NamedTuple):
    """A sentence about the encoding of a text, and one about what to do."""

    sentence: str
    remedy: str


COMMENT = re.compile(rb'"[^"\n]*"|(?P<comment>//[^\n]*|/\*(?:.*?\*/|.*))', re.S)
"""A comment of PTX, which may lack its end; or a string, in which none begins."""
NOT_ASCII_TEXT = re.compile(r"[^\t\n\f\r -~]")


def with_ascii_comments(ptx: bytes) -> bytes:
    """PTX with a `?` for each character of its comments that is not ASCII text. Not every ptxas accepts those."""

    def ascii_comment(match: re.Match[bytes]) -> bytes:
        comment = match["comment"]
        return NOT_ASCII_TEXT.sub("?", comment.decode("utf-8", "replace")).encode() if comment else match[0]

    return COMMENT.sub(ascii_comment, ptx)


def character_at(content: bytes, at: int) -> str:
    """The character that starts at a byte, in words: `'\u2014' (U+2014, EM DASH)`; or the byte, if it is not UTF-8."""
    character = content[at : at + 4].decode("utf-8", "replace")[0]
    if character == "\ufffd":
        return f"byte 0x{content[at]:02x}"
    number, name = f"U+{ord(character):04X}", unicodedata.name(character, "no name")
    return f"'{character}' ({number}, {name})" if character.isprintable() else f"{number} ({name})"


def without_mark(cuda_c: bytes) -> bytes:
    """CUDA C without the byte-order mark of UTF-8, which editors on Windows write and nvcc ignores."""
    return cuda_c.removeprefix(codecs.BOM_UTF8)


def encoding_problem(content: bytes) -> EncodingProblem | None:
    """What is wrong with the encoding of a text that the tools cannot read; None if it is UTF-8, or no text at all."""
    for mark, name in MARKS.items():
        if content.startswith(mark):
            return EncodingProblem(f"the text begins with a {name} byte-order mark.", AS_UTF_8)
    even, odd = content[:4096:2], content[1:4096:2]
    if odd and (even.count(0) == len(even) or odd.count(0) == len(odd)):
        return EncodingProblem("every other byte is 0x00, as in UTF-16.", AS_UTF_8)
    if b"\n" not in content and b"\r" in content.rstrip() and (b"//" in content or b"#" in content):
        return EncodingProblem(
            "its lines end with carriage returns alone, which end neither a comment nor a directive.", WITH_LINES
        )
    return None
