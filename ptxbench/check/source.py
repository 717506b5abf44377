"""Checks of a candidate's text before any tool reads it.

The candidate is data. It is one file: CUDA C may include only CUDA's own headers, because a compiler that is made to
read another file quotes its lines in error messages.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ptxbench.check.findings import Finding, finding
from ptxbench.containment import HEADERS, LANDLOCK, mode
from ptxbench.toolchain import headers, locate, stand_ins
from ptxbench.toolchain.cpp_tokens import tokens
from ptxbench.toolchain.encoding import character_at, encoding_problem, with_ascii_comments, without_mark
from ptxbench.toolchain.register_counts import MOST_REGISTERS, too_many_registers
from ptxbench.toolchain.user_files import has_file

STAGE = "parses"


MOST_BYTES = 2 << 20
"""Bytes of a file: thirty times the longest PTX that NVRTC writes for a shipped kernel."""

MOST_NESTING = 100
"""Nested brackets; NVRTC writes up to three."""

MOST_QUOTED = 200
"""Characters of a header's name in a message."""

HASH = re.compile(r"#|%:|\?\?=")
BLANK = re.compile(r"[ \t\f\v\r]*")
OF_FILE = re.compile(r"(?:include_next|include|import|embed)\b")
QUESTION = re.compile(r"__has_(?:include|include_next|embed)\b")
NAME = re.compile(r"(?:<(?P<angle>[^<>\n]+)>|\"(?P<quoted>[^\"\n]+)\")\s*(?://.*|/\*.*)?$")


def problems(content: bytes, language: str) -> Iterator[Finding]:
    """Problems of the text itself; one is enough to reject it."""
    if len(content) > MOST_BYTES:
        yield finding(STAGE, "file-too-large", f"the file has more than {MOST_BYTES >> 20} MiB.")
        return
    if language == "cuda":
        content = without_mark(content)
    if problem := encoding_problem(content):
        yield finding(STAGE, "not-ascii", problem.sentence, 1, 1, problem.remedy)
        return
    yield from ptx_problems(content) if language == "ptx" else cuda_problems(content)


NOT_TEXT = re.compile(rb"[^\t\n\f\r -~]")


def not_text(content: bytes, at: int) -> str:
    """What is wrong with a byte that PTX must not contain."""
    byte = content[at]
    return f"byte 0x{byte:02x} is a control character." if byte < 128 else f"{character_at(content, at)} is not ASCII."


def ptx_problems(content: bytes) -> Iterator[Finding]:
    """Why a PTX text is refused before it is parsed: bytes that are not text, or more than the parser should get."""
    content = with_ascii_comments(content)
    if bad := NOT_TEXT.search(content):
        line, column = line_and_column(content, bad.start())
        yield finding(STAGE, "not-ascii", not_text(content, bad.start()), line, column)
        return
    text = content.decode("ascii", "replace")
    if family := too_many_registers(text):
        line, column = line_and_column(content, family.start())
        message = f"{family[1][:20]} registers in one declaration; expected at most {MOST_REGISTERS:,}."
        yield finding(STAGE, "too-many-registers", message, line, column)
        return
    depth = 0
    for brace in re.finditer(r"[{}(\[)\]]", text):
        depth += 1 if brace[0] in "{([" else -1
        if depth > MOST_NESTING:
            line, column = line_and_column(content, brace.start())
            yield finding(STAGE, "nested-too-deep", f"more than {MOST_NESTING} brackets are open.", line, column)
            return
    if huge := re.search(r"\b\d{40}", text):
        line, column = line_and_column(content, huge.start())
        yield finding(STAGE, "syntax", "a number of more than 40 digits.", line, column)


def cuda_problems(content: bytes) -> Iterator[Finding]:
    """Files that the text would make the compiler read, and that are not CUDA's headers.

    Comments are searched too: a preprocessor that disagreed about where a comment ends would otherwise see a directive
    that was not checked.
    """
    if b"\0" in content:
        at = content.index(b"\0")
        line, column = line_and_column(content, at)
        yield finding(STAGE, "not-ascii", not_text(content, at), line, column, "Remove the byte.")
        return
    text = content.decode("utf-8", "replace")
    joined = with_joined_lines(text)
    folders = locate.headers()
    for directive in file_directives(joined):
        wanted = included_name(directive.rest)
        allowed = wanted is not None and (is_cuda_header(wanted, folders) or is_stand_in(wanted))
        if directive.name != "include" or not allowed:
            quoted_name = (wanted or directive.rest.strip())[:MOST_QUOTED]
            message = f"#{directive.name} of '{quoted_name}', which is not one of CUDA's headers."
            yield finding(STAGE, "bad-include", message, line_of(text, directive.start))
            return
    if question := QUESTION.search(joined):
        message = f"{question[0]} tests whether a file exists."
        yield finding(STAGE, "bad-include", message, line_of(text, question.start()))
        return
    if mode() == HEADERS and (wrong := unlisted(joined, folders)):
        at, message = wrong
        yield finding(STAGE, "bad-include", f"{message}, which is not allowed on a system without Landlock.",
                      line_of(text, at))  # fmt: skip


class FileDirective(NamedTuple):
    """A directive that may read a file: where it starts, its name, and the rest of its line."""

    start: int
    name: str
    rest: str


def file_directives(joined: str) -> Iterator[FileDirective]:
    """Each `#include`, `#import` or `#embed` of a text, in a time that grows only linearly with its length."""
    comment_ends = [match.end() for match in re.finditer(r"\*/", joined)]
    after: dict[int, int] = {}

    def after_blanks(at: int) -> int:
        """Where the blanks and comments from a position on end."""
        blank = BLANK.match(joined, at)
        at = blank.end() if blank else at
        if not joined.startswith("/*", at):
            return at
        end = bisect.bisect_left(comment_ends, at + 4)
        return after.get(end, at)

    for index in reversed(range(len(comment_ends))):
        after[index] = after_blanks(comment_ends[index])
    for hash_sign in HASH.finditer(joined):
        if name := OF_FILE.match(joined, after_blanks(hash_sign.end())):
            start = after_blanks(name.end())
            end = joined.find("\n", start)
            yield FileDirective(hash_sign.start(), name[0], joined[start : end if end >= 0 else None])


def with_joined_lines(text: str) -> str:
    """The text without a backslash at the end of a line, which joins the next one; NVRTC allows blanks after it."""
    return re.sub(r"(?:\\|\?\?/)[ \t\f\v\r]*\n", "", text)


ASSEMBLY = re.compile(r"\b(?:asm|__asm|__asm__)\b")
JOINS = re.compile(r"##|%:|\?\?=")
"""What joins tokens, such as `a` and `sm`, and other spellings of it."""


def inline_assembly(content: bytes) -> int | None:
    """The first line of a text in CUDA C that has inline PTX, or that may make the word for it by joining tokens."""
    text = content.decode("utf-8", "replace")
    joined = with_joined_lines(text)
    if not ASSEMBLY.search(joined) and not JOINS.search(joined):
        return None
    for token in tokens(joined):
        if token.kind == "word" and ASSEMBLY.fullmatch(token.text):
            return line_of(text, token.start)
        if JOINS.match(joined, token.start) or (
            token.kind == "directive" and (ASSEMBLY.search(token.text) or JOINS.search(token.text))
        ):
            return line_of(text, token.start)
    return None


def unlisted(joined: str, folders: tuple[Path, ...]) -> tuple[int, str] | None:
    """The offset of something that only Landlock makes harmless, and what it is: a forbidden header, or joined
    tokens."""
    included = {
        name: directive.start for directive in file_directives(joined) if (name := included_name(directive.rest))
    }
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


def included_name(rest: str) -> str | None:
    """The file that an #include names; None if the name is not written there."""
    name = NAME.match(rest.strip())
    return (name["angle"] or name["quoted"]) if name else None


def is_cuda_header(name: str, folders: Sequence[Path]) -> bool:
    """Whether `name` is one of CUDA's headers, by a plain path below one of their folders."""
    parts = name.split("/")
    plain = all(re.fullmatch(r"[\w.+-]+", part) and part not in (".", "..") for part in parts)
    return plain and any(has_file(folder, name) for folder in folders)


def is_stand_in(name: str) -> bool:
    """Whether ptxbench has its own text in place of the header `name` (`toolchain.stand_ins`)."""
    return mode() == LANDLOCK and stand_ins.has(name)


def line_and_column(content: bytes, at: int) -> tuple[int, int]:
    """Line and column of a byte, from 1."""
    return content.count(b"\n", 0, at) + 1, at - content.rfind(b"\n", 0, at)


def line_of(text: str, at: int) -> int:
    """The line of `text` for an offset in its joined text; joined lines count as their first."""
    line = 1
    position = 0
    for text_line in re.split(r"(?<=\n)", text):
        joined_line = re.sub(r"(?:\\|\?\?/)[ \t\f\v\r]*\n$", "", text_line)
        if position <= at < position + len(joined_line):
            return line
        position += len(joined_line)
        line += 1
    return line
