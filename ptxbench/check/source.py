"""A candidate's text, before any tool reads it: what is refused at sight, so that no tool has to bear it.

The candidate is data. It is one file: CUDA C may include CUDA's own headers and nothing else, because a compiler
that is made to read another file tells of its lines in what it complains of.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ptxbench.check.findings import Finding, finding
from ptxbench.containment import HEADERS, mode
from ptxbench.toolchain import headers, locate

STAGE = "parses"

SUFFIXES = {".ptx": "ptx", ".cu": "cuda"}

MOST_BYTES = 2 << 20
"""Of a file: thirty times the longest that ptxbench ships, as NVRTC writes it."""

MOST_REGISTERS = 100_000
"""Of a family, `.reg .b32 %r<N>`; NVRTC's largest have some hundreds."""

MOST_NESTING = 100
"""Braces within braces; NVRTC writes up to three."""

FAMILY = re.compile(r"<\s*(0[xX][0-9a-fA-F]+|\d+)U?\s*>")
BLANK = r"(?:[ \t\f\v\r]|/\*.*?\*/)*"
INCLUDE = re.compile(
    rf"(?:\#|%:|\?\?=){BLANK}(?P<directive>include_next|include|import|embed)\b{BLANK}(?P<rest>[^\n]*)", re.S
)
QUESTION = re.compile(r"__has_(?:include|include_next|embed)\b")
NAME = re.compile(r"(?:<(?P<angle>[^<>\n]+)>|\"(?P<quoted>[^\"\n]+)\")\s*(?://.*|/\*.*)?$")


def problems(content: bytes, language: str) -> Iterator[Finding]:
    """What is wrong with the text at sight; the first is enough to refuse it."""
    if len(content) > MOST_BYTES:
        yield finding(STAGE, "file-too-large", f"the file has more than {MOST_BYTES >> 20} MiB.")
        return
    if told := encoding(content):
        yield finding(STAGE, "not-ascii", told, 1, 1, "Save the file as UTF-8 without a byte-order mark.")
        return
    yield from ptx_problems(content) if language == "ptx" else cuda_problems(content)


MARKS = {
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, with whose mark it begins
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""By byte-order mark, the encoding that it stands for. Neither ptxas nor NVRTC takes any of them."""


def encoding(content: bytes) -> str | None:
    """What is wrong with the encoding of a text, if it is not one that the tools read."""
    for mark, name in MARKS.items():
        if content.startswith(mark):
            return f"the text begins with the byte-order mark of {name}."
    even, odd = content[:4096:2], content[1:4096:2]
    if odd and (even.count(0) == len(even) or odd.count(0) == len(odd)):
        return "every other byte is 0x00, as in UTF-16."
    return None


NOT_TEXT = re.compile(rb"[^\t\n\f\r -~]")


def not_text(byte: int) -> str:
    """What a byte is that PTX does not consist of."""
    return f"byte 0x{byte:02x} is {'not ASCII text' if byte > 127 else 'a control character'}."


def ptx_problems(content: bytes) -> Iterator[Finding]:
    if bad := NOT_TEXT.search(content):
        line, column = place(content, bad.start())
        yield finding(STAGE, "not-ascii", not_text(bad[0][0]), line, column)
        return
    text = content.decode("ascii", "replace")
    for family in FAMILY.finditer(text):
        if len(family[1]) > 12 or int(family[1], 0) > MOST_REGISTERS:
            line, column = place(content, family.start())
            told = f"a family of {family[1][:20]} registers; {MOST_REGISTERS:,} are the most that is read."
            yield finding(STAGE, "too-many-registers", told, line, column)
            return
    depth = 0
    for brace in re.finditer(r"[{}(\[)\]]", text):
        depth += 1 if brace[0] in "{([" else -1
        if depth > MOST_NESTING:
            line, column = place(content, brace.start())
            yield finding(STAGE, "nested-too-deep", f"more than {MOST_NESTING} braces are open.", line, column)
            return
    if huge := re.search(r"\b\d{40}", text):
        line, column = place(content, huge.start())
        yield finding(STAGE, "syntax", "a number of more than 40 digits.", line, column)


def cuda_problems(content: bytes) -> Iterator[Finding]:
    """Files that the text would have the compiler read, and that are not CUDA's.

    Looked for in the text as it stands, comments and all: a preprocessor that disagreed on where a comment ends would
    otherwise see a directive that nobody looked at.
    """
    if b"\0" in content:
        line, column = place(content, content.index(b"\0"))
        yield finding(STAGE, "not-ascii", not_text(0), line, column, "Remove the byte.")
        return
    text = content.decode("utf-8", "replace")
    # A backslash at the end of a line joins the next; blanks may stand between, as NVRTC has it.
    joined = re.sub(r"(?:\\|\?\?/)[ \t\f\v\r]*\n", "", text)
    folders = locate.headers()
    for found in INCLUDE.finditer(joined):
        wanted = named(found["rest"])
        if found["directive"] != "include" or wanted is None or not is_cuda_header(wanted, folders):
            told = f"#{found['directive']} of what is not a header of CUDA."
            yield finding(STAGE, "bad-include", told, line_of(text, joined, found.start()))
            return
    if asked := QUESTION.search(joined):
        told = f"{asked[0]} asks which files there are."
        yield finding(STAGE, "bad-include", told, line_of(text, joined, asked.start()))
        return
    if mode() == HEADERS and (wrong := unlisted(joined, folders)):
        at, told = wrong
        yield finding(STAGE, "bad-include", f"{told}, which is not allowed on a system without Landlock.",
                      line_of(text, joined, at))  # fmt: skip


def unlisted(joined: str, folders: tuple[Path, ...]) -> tuple[int, str] | None:
    """Where a text does what only the kernel makes harmless, and what: a header that is not on the allow-list, tokens
    that are joined; None where it does not."""
    included = {name: found.start() for found in INCLUDE.finditer(joined) if (name := named(found["rest"]))}
    for name, at in included.items():
        if headers.closure(name, folders) is None:
            return at, f"<{name}> includes files whose names come from macros"
    if joins := re.search(r"##|%:%:|\?\?=\?\?=", joined):
        return joins.start(), f"{joins[0]} joins tokens"
    macros = headers.joining(frozenset(included), folders)
    for word in re.finditer(r"\b[A-Za-z_]\w*", joined):
        if word[0] in macros:
            return word.start(), f"{word[0]} joins tokens"
    return None


def named(rest: str) -> str | None:
    """The file that an #include names; None where it is not written there."""
    name = NAME.match(rest.strip())
    return (name["angle"] or name["quoted"]) if name else None


def is_cuda_header(name: str, folders: Sequence[Path]) -> bool:
    """Whether `name` is a file of CUDA's headers, by a plain path below one of their folders."""
    parts = name.split("/")
    plain = all(re.fullmatch(r"[\w.+-]+", part) and part not in (".", "..") for part in parts)
    return plain and any((folder / name).is_file() for folder in folders)


def place(content: bytes, at: int) -> tuple[int, int]:
    """Line and column of a byte, from 1."""
    return content.count(b"\n", 0, at) + 1, at - content.rfind(b"\n", 0, at)


def line_of(text: str, joined: str, at: int) -> int:
    """The line of `text` in which what stands at `at` of the joined text begins; joined lines count as their first."""
    line = 1
    position = 0
    for own in re.split(r"(?<=\n)", text):
        whole = re.sub(r"(?:\\|\?\?/)[ \t\f\v\r]*\n$", "", own)
        if position <= at < position + len(whole):
            return line
        position += len(whole)
        line += 1
    return line
