"""Files of the user near a CUDA C file: the folder that has a header, and the file that includes the CUDA C."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ptxbench.toolchain.user_files import has_file

LEVELS = 5
"""Folders above a file whose other subfolders are searched."""

HOME = Path(os.path.expanduser("~"))  # noqa: PTH111  Path.home raises for a user without one
MOST_FOLDERS = 30
MOST_ENTRIES = 300
MOST_BYTES = 2**20
MOST_FILES = 300
INCLUDE = re.compile(rb"^[ \t]*#[ \t]*include[ \t]*\"([^\"\n]*)\"", re.M)


def folder_with(path: Path, header: str) -> Path | None:
    """The nearest folder with the header: one above `path`, a folder `include` next to one, or another one there."""
    above = path.absolute().parents
    near = [folder for parent in above for folder in (parent, parent / "include")]
    # Below the root is /usr, whose headers are for the host compiler.
    apart = (
        folder for parent in above[:LEVELS] if parent not in (HOME, parent.parent) for folder in subfolders(parent)
    )
    return next((folder for folder in (*near, *apart) if has_file(folder, header)), None)


def subfolders(folder: Path) -> Iterator[Path]:
    """The folders in `folder`, and those called `include` in them; none if it has many, such as one of projects."""
    folders = [Path(entry) for entry in entries(folder) if entry.is_dir() and not entry.name.startswith(".")]
    for folder_inside in folders if len(folders) <= MOST_FOLDERS else ():
        yield from (folder_inside, folder_inside / "include")


def including_file(path: Path) -> Path | None:
    """Another .cu file that includes the file `path`, also by way of others, in its folder or the one above."""
    seen = {path.resolve()}
    for folder in path.absolute().parents[:2]:
        for entry in entries(folder):
            if entry.name.endswith(path.suffix) and entry.is_file() and includes(Path(entry.path), path, seen):
                return Path(entry.path)
    return None


def includes(file: Path, wanted: Path, seen: set[Path]) -> bool:
    """Whether `file` includes the file `wanted`, also by way of others. `seen`: files that do not, which grows."""
    pending = [file]
    while pending and len(seen) < MOST_FILES:
        current = pending.pop()
        for name in map(os.fsdecode, INCLUDE.findall(start_of(current))):
            if not has_file(current.parent, name):
                continue
            included = (current.parent / name).resolve()
            if included == wanted.resolve() and current.resolve() != included:
                return True
            if included not in seen:
                seen.add(included)
                pending.append(included)
    return False


def start_of(path: Path) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES)
    except OSError:
        return b""


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """The first entries of a folder by name; none if it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(islice(found, MOST_ENTRIES), key=lambda entry: entry.name)
    except OSError:
        return []
