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


def folder_with(path: Path, header: str) -> Path | None:
    """The nearest folder with the header: one above `path`, a folder `include` next to one, or another one there."""
    above = path.absolute().parents
    near = [folder for parent in above for folder in (parent, parent / "include")]
    apart = (folder for parent in above[:LEVELS] if parent != HOME for folder in subfolders(parent))
    return next((folder for folder in (*near, *apart) if has_file(folder, header)), None)


def subfolders(folder: Path) -> Iterator[Path]:
    """The folders in `folder`, and those called `include` in them; none if it has many, such as one of projects."""
    folders = [Path(entry) for entry in entries(folder) if entry.is_dir() and not entry.name.startswith(".")]
    for one in folders if len(folders) <= MOST_FOLDERS else ():
        yield from (one, one / "include")


def including_file(path: Path) -> Path | None:
    """Another .cu file that includes the file `path`, in its folder or the one above."""
    includes = re.compile(rb"^[ \t]*#[ \t]*include[ \t]*\"([^\"\n]*)\"", re.M)
    for folder in path.absolute().parents[:2]:
        for entry in entries(folder):
            if not entry.name.endswith(path.suffix) or not entry.is_file():
                continue
            names = [os.fsdecode(name) for name in includes.findall(start_of(Path(entry.path)))]
            if any(name.endswith(path.name) and (folder / name).resolve() == path.resolve() for name in names):
                return Path(entry.path)
    return None


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
