"""The user's own files that a CUDA C file includes."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ptxbench.toolchain.encoding import without_mark

BLANK = rb"[ \t\v\f]*"
NAMED = rb"(?:[<\"](?P<name>[^>\"\n]+)[>\"]|(?P<computed>\w+))"
INCLUDE = re.compile(rb"^" + BLANK + rb"(?:#|%:)" + BLANK + rb"include" + BLANK + NAMED, re.M)
QUESTION = re.compile(rb"__has_include" + BLANK + rb"\(" + BLANK + NAMED)
SPLICE = re.compile(rb"\\[ \t]*\r?\n")
COMMENT = re.compile(rb"//[^\n]*|/\*(?:.*?\*/|.*)", re.DOTALL)


def named_files(text: bytes) -> Iterator[str | None]:
    """The names in the `#include` and `__has_include` of a text, also of those in comments; None for a macro's name.

    A name may come twice.
    """
    if b"\\" in text:
        text = SPLICE.sub(b"", text)
    texts = [text]
    if any(b"/*" in line or b"*/" in line for line in lines_with(b"include", text)):
        # Not in place of the text: a string can have the sign of a comment.
        texts.append(COMMENT.sub(b" ", text))
    for form in (INCLUDE, QUESTION):
        for match in itertools.chain.from_iterable(map(form.finditer, texts)):
            yield None if match["computed"] else os.fsdecode(match["name"])


def lines_with(word: bytes, text: bytes) -> Iterator[bytes]:
    """The lines of a text that have a word, without reading the others: a library's headers have megabytes."""
    position = text.find(word)
    while position >= 0:
        end = text.find(b"\n", position)
        end = len(text) if end < 0 else end
        yield text[text.rfind(b"\n", 0, position) + 1 : end]
        position = text.find(word, end)


def has_file(folder: Path, name: str) -> bool:
    """Whether the folder has a file of this name, with which an #include may have any text."""
    try:
        return (folder / name).is_file()
    except OSError:  # a name that is too long
        return False


class UserFile(NamedTuple):
    """A file of the user that a source includes. `name`: as the #include writes it."""

    name: str
    path: Path
    content: bytes


def user_files(source: bytes, folder: Path, searched: Sequence[Path] = ()) -> list[UserFile] | None:
    """The user's files that `source` includes or asks for, directly or indirectly; None if that is not known.

    They are next to the file that includes them, or in one of the folders `searched`. CUDA's own headers have NVRTC's
    version and are left out.
    """
    files: dict[tuple[str, Path], UserFile] = {}
    pending = [(source, folder)]
    while pending:
        text, including_folder = pending.pop()
        if searched and b"__has_include" in text:
            return None
        for name in named_files(text):
            if name is None:
                return None
            path = next((parent / name for parent in (including_folder, *searched) if has_file(parent, name)), None)
            if path is not None and (name, path) not in files:
                files[name, path] = UserFile(name, path, without_mark(path.read_bytes()))
                pending.append((files[name, path].content, path.parent))
    return [files[key] for key in sorted(files)]
