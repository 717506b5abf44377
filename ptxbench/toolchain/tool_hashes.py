"""Hashes of tools and of folders of headers, for the keys of the cache: the same wherever they are installed.

To read them takes tens of milliseconds, so a hash is kept in the cache with the path, the size and the time of the last
change.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

from ptxbench import cache


def file_hash(path: Path) -> str:
    """The hash of a file's content; its path, size and time if it may be executed but not read. Raises OSError."""
    state = path.stat()
    try:
        return remembered_file(path, state.st_size, state.st_mtime_ns)
    except PermissionError:
        return f"{path} {state.st_size} {state.st_mtime_ns}"


def folder_hash(folder: Path) -> str:
    """The hash of the names and sizes of all files in a folder and below; its path if the folder does not exist.

    A change below the folder is noticed if it adds or removes an entry of the folder itself, as pip does. What may not
    be read is left out: a compiler cannot read it either. Raises OSError if a folder below cannot be listed otherwise.
    """
    try:
        state = folder.stat()
    except OSError:
        return str(folder)
    return remembered_folder(folder, state.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def remembered_file(path: Path, size: int, changed: int) -> str:
    def make() -> bytes:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest().encode()

    return cache.remember(("file hash", str(path), str(size), str(changed)), make).decode()


@functools.lru_cache(maxsize=64)
def remembered_folder(folder: Path, changed: int) -> str:
    def make() -> bytes:
        def skip_forbidden(error: OSError) -> None:
            if not isinstance(error, PermissionError):
                raise error

        digest = hashlib.sha256()
        for parent, subfolders, names in os.walk(folder, onerror=skip_forbidden):
            subfolders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                digest.update(f"{path.relative_to(folder)}\0{path.lstat().st_size}\0".encode(errors="surrogateescape"))
        return digest.hexdigest().encode()

    return cache.remember(("folder hash", str(folder), str(changed)), make).decode()
