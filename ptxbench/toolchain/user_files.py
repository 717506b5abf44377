"""The user's own files that a CUDA C file includes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ptxbench.toolchain.encoding import without_mark

INCLUDE = re.compile(rb"^[ \t]*#[ \t]*include[ \t]*(?:[<\"](?P<name>[^>\"\n]+)[>\"]|(?P<computed>\w+))", re.M)


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
    """The user's files that `source` includes, directly or indirectly; None if that is not known.

    They are next to the file that includes them, or in one of the folders `searched`. CUDA's own headers have NVRTC's
    version and are left out.
    """
    files: dict[tuple[str, Path], UserFile] = {}
    pending = [(source, folder)]
    while pending:
        text, including_folder = pending.pop()
        if searched and b"__has_include" in text:
            return None
        for include in INCLUDE.finditer(text):
            if include["computed"]:
                return None
            name = os.fsdecode(include["name"])
            path = next((parent / name for parent in (including_folder, *searched) if has_file(parent, name)), None)
            if path is not None and (name, path) not in files:
                files[name, path] = UserFile(name, path, without_mark(path.read_bytes()))
                pending.append((files[name, path].content, path.parent))
    return [files[key] for key in sorted(files)]
