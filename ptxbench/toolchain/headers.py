"""Which CUDA headers untrusted text may include, if the kernel cannot keep NVRTC from other files.

A header is allowed if no header that it includes, directly or not, takes a file name from a macro: the text could
define that macro. The text must not join tokens either, directly or with a macro of a header: from `__has_` and
`include` it could make a query about any file.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from ptxbench.toolchain.comments import COMMENT
from ptxbench.toolchain.user_files import has_file

SPLICE = re.compile(r"\\[ \t]*\r?\n")
INCLUDE = re.compile(r"^[ \t]*#[ \t]*(?:include|include_next|import|embed)\b[ \t]*(?P<name>[^\n]*)", re.M)
NAME = re.compile(r"<(?P<angle>[^>\n]+)>|\"(?P<quoted>[^\"\n]+)\"")
QUESTION = re.compile(r"__has_(?:include|include_next|embed)[ \t]*\([ \t]*(?![<\"])")
"""A query about a file whose name is not literally there."""

DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(?P<name>\w+)(?P<takes>\()?(?P<body>[^\n]*)", re.M)


@functools.cache
def text_of(path: Path) -> str:
    """The text of a header, without comments and with continued lines joined."""
    return COMMENT.sub(" ", SPLICE.sub("", path.read_text(errors="replace")))


@functools.cache
def closure(name: str, folders: tuple[Path, ...]) -> tuple[Path, ...] | None:
    """The header and all headers that it can include; None if the name of one of these comes from a macro.

    Every branch of every condition counts. A name that is not one of CUDA's headers opens nothing useful.
    """
    seen: dict[Path, None] = {}
    pending = [folder / name for folder in folders if has_file(folder, name)][:1]
    while pending:
        path = pending.pop()
        if path in seen:
            continue
        seen[path] = None
        text = text_of(path)
        if QUESTION.search(text):
            return None
        for include in INCLUDE.finditer(text):
            wanted = NAME.match(include["name"])
            if wanted is None:
                return None
            own_folder = (path.parent,) if wanted["quoted"] else ()
            candidates = (folder / (wanted["quoted"] or wanted["angle"]) for folder in (*own_folder, *folders))
            pending += [candidate.resolve() for candidate in candidates if candidate.is_file()][:1]
    return tuple(seen)


@functools.cache
def joining(names: frozenset[str], folders: tuple[Path, ...]) -> frozenset[str]:
    """These headers' macros with arguments that join tokens, directly or through another macro, and their aliases."""
    paths = {path for name in names for path in closure(name, folders) or ()}
    bodies: dict[str, str] = {}
    for path in paths:
        for define in DEFINE.finditer(text_of(path)):
            body = define["body"].strip()
            if define["takes"] or re.fullmatch(r"\w+", body):
                bodies[define["name"]] = f"{bodies.get(define['name'], '')} {body}"
    joining_names = {name for name, body in bodies.items() if "##" in body}
    while more := {
        name
        for name, body in bodies.items()
        if name not in joining_names and joining_names & set(re.findall(r"\w+", body))
    }:
        joining_names |= more
    return frozenset(joining_names)
