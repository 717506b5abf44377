"""The user's own files that a CUDA C file includes."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ptxbench.toolchain import locate
from ptxbench.toolchain.encoding import without_mark

BLANK = rb"[ \t\v\f]*"
NAMED = rb"(?:(?P<mark>[<\"])(?P<name>[^>\"\n]+)[>\"]|(?P<macro>\w+)(?:\((?P<argument>[^()\n]*)\))?)"
INCLUDE = re.compile(rb"^" + BLANK + rb"(?:#|%:)" + BLANK + rb"include" + BLANK + NAMED, re.M)
QUESTION = re.compile(rb"__has_include" + BLANK + rb"\(" + BLANK + NAMED)
ASKS_WHETHER_KNOWN = re.compile(
    rb"(?:\bdefined" + BLANK + rb"\(?|#" + BLANK + rb"ifn?def)" + BLANK + rb"__has_include\b"
)
OTHER_QUESTION = re.compile(
    rb"#" + BLANK + rb"define\b[^\n]*__has_include\b|__has_include\b(?!" + BLANK + rb"\(" + BLANK + rb"[<\"\w])"
)
"""A `__has_include` that does not show which file is meant: in a macro that asks, or without a name."""
DEFINITION = re.compile(
    rb"^" + BLANK + rb"(?:#|%:)" + BLANK + rb"define" + BLANK
    + rb"(?P<name>\w+)(?:\((?P<parameter>\w*)\))?[ \t]+(?P<body>[^\n]*)", re.M
)  # fmt: skip
FILE_NAME = re.compile(r"[<\"]([^<>\"\n]+)[>\"]")
SPLICE = re.compile(rb"\\[ \t]*\r?\n")
COMMENT = re.compile(rb"//[^\n]*|/\*(?:.*?\*/|.*)", re.DOTALL)


class MacroUse(NamedTuple):
    """A macro in place of the name of a file, with its argument, if it has one: NAME(wmma) in `#include NAME(wmma)`."""

    name: str
    argument: str | None


class FileName(NamedTuple):
    """A name in an #include. `in_angles`: whether it is in <>, so that the folder of the text is not searched first."""

    name: str
    in_angles: bool


def named_files(text: bytes) -> Iterator[FileName | MacroUse]:
    """The names in the `#include` and `__has_include` of a text, also of those in comments.

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
            if match["macro"] is None:
                yield FileName(os.fsdecode(match["name"]), match["mark"] == b"<")
            else:
                argument = match["argument"]
                yield MacroUse(os.fsdecode(match["macro"]), None if argument is None else os.fsdecode(argument).strip())


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


def first_with(name: str, *folders: Path) -> Path | None:
    """The file of this name in the first of the folders that has one."""
    return next((folder / name for folder in folders if has_file(folder, name)), None)


def included_path(name: str, including_folder: Path, searched: Sequence[Path], *, in_angles: bool) -> Path | None:
    """The file of this name that a file in `including_folder` includes; None if it is none of the user's.

    A name in angles means the file next to it only if CUDA has none: <mma.h> in a folder with an mma.h is CUDA's.
    """
    if not in_angles:
        return first_with(name, including_folder, *searched)
    path = first_with(name, *searched)
    return path or (None if first_with(name, *locate.headers()) else first_with(name, including_folder))


class UserFile(NamedTuple):
    """A file of the user that a source includes. `name`: as the #include writes it."""

    name: str
    path: Path
    content: bytes


def has_other_question(text: bytes) -> bool:
    """Whether a `__has_include` of the text may ask for any file."""
    return OTHER_QUESTION.search(ASKS_WHETHER_KNOWN.sub(b"", SPLICE.sub(b"", text))) is not None


def files_of_macro(use: MacroUse, texts: Iterable[bytes]) -> list[str] | None:
    """The files that a macro can name, by each of its definitions in the texts; None if one of them names no file."""
    names = []
    for text in texts:
        for match in DEFINITION.finditer(SPLICE.sub(b"", text)) if use.name.encode() in text else ():
            if os.fsdecode(match["name"]) != use.name:
                continue
            body = os.fsdecode(COMMENT.sub(b" ", match["body"])).strip()
            if match["parameter"]:
                body = re.sub(rf"\b{os.fsdecode(match['parameter'])}\b", lambda _: use.argument or "", body)
            named = FILE_NAME.fullmatch(body)
            if named is None or "#" in body:
                return None
            names.append(named[1])
    return names or None


def user_files(
    source: bytes, folder: Path, searched: Sequence[Path] = (), defined: Collection[str] = ()
) -> list[UserFile] | None:
    """The user's files that `source` includes or asks for, directly or indirectly; None if that is not known.

    They are next to the file that includes them, or in one of the folders `searched`. CUDA's own headers have NVRTC's
    version and are left out. `defined`: macros that options define, so that their values are not in the texts.
    """
    files: dict[tuple[str, Path], UserFile] = {}
    uses: dict[MacroUse, set[Path]] = {}
    texts, pending, seen = [source], [(source, folder)], set[Path]()

    def add(name: str, including_folder: Path, *, in_angles: bool = False) -> None:
        path = included_path(name, including_folder, searched, in_angles=in_angles)
        if path is None:
            return
        real = Path(os.path.realpath(path.parent)) / path.name  # a/../b/../a is a
        if (name, real) in files:
            return
        files[name, real] = UserFile(name, path, without_mark(path.read_bytes()))
        if real not in seen:
            seen.add(real)
            texts.append(files[name, real].content)
            pending.append((files[name, real].content, real.parent))

    while pending:
        while pending:
            text, including_folder = pending.pop()
            if searched and b"__has_include" in text and has_other_question(text):
                return None
            for named in named_files(text):
                if isinstance(named, FileName):
                    add(named.name, including_folder, in_angles=named.in_angles)
                else:
                    uses.setdefault(named, set()).add(including_folder)
        # Each file that was found may define these macros too.
        for use, including_folders in uses.items():
            names = None if use.name in defined else files_of_macro(use, tuple(texts))
            if names is None:
                return None
            for including_folder in including_folders:
                for name in names:
                    add(name, including_folder)
    return [files[key] for key in sorted(files)]


def with_distinct_names(
    source: bytes, folder: Path, files: Sequence[UserFile], searched: Sequence[Path] = ()
) -> tuple[bytes, list[UserFile]]:
    """The source and its files, each once, with a name of its own: for NVRTC, which gets them by name.

    Where two folders have a file of one name, or CUDA has another one, each of these files is named by its path from
    `folder`, also in the texts that include it.
    """
    paths: dict[str, dict[Path, Path]] = {}
    for file in files:
        paths.setdefault(file.name, {}).setdefault(file.path.resolve(), file.path)
    ambiguous = {
        name
        for name, of_name in paths.items()
        if len(of_name) > 1 or (first_with(name, *locate.headers()) and not first_with(name, *searched))
    }

    def name_of(path: Path) -> str:
        return Path(os.path.relpath(path, folder)).as_posix()

    def renamed(content: bytes, including_folder: Path) -> bytes:
        def replace(match: re.Match[bytes]) -> bytes:
            name = os.fsdecode(match["name"] or b"")
            in_angles = match["mark"] == b"<"
            path = included_path(name, including_folder, searched, in_angles=in_angles) if name in ambiguous else None
            if path is None:
                return match[0]
            start, end = (place - match.start() for place in match.span("name"))
            return match[0][:start] + os.fsencode(name_of(path)) + match[0][end:]

        return QUESTION.sub(replace, INCLUDE.sub(replace, content)) if ambiguous else content

    distinct = {
        UserFile(
            name_of(file.path) if file.name in ambiguous else file.name,
            paths[file.name][file.path.resolve()],
            renamed(file.content, file.path.parent),
        )
        for file in files
    }
    return renamed(source, folder), sorted(distinct)
