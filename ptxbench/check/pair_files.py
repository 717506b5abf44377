"""A hash of a pair's files and of the headers that they include, which tells whether the pair must be loaded again."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ptxbench.toolchain.user_files import user_files

State = tuple[int, ...] | None
"""What changes when a file, or the list of files in a folder, changes; None if the path does not exist."""


class Hashed(NamedTuple):
    states: dict[Path, State]
    """The states of the pair's files and headers, of the folder of kernels and of the folders in it, before the files
    were read."""
    sha256: str


HASHED: dict[tuple[str, Path], Hashed] = {}


def hash_of_files(pair: str, kernels: Path) -> str:
    """A hash of the pair's files. They are searched and read again only if one of them or a folder has changed."""
    cached = HASHED.get((pair, kernels))
    if cached is None or cached.states != states_of(cached.states):
        cached = HASHED[pair, kernels] = hashed(pair, kernels)
    return cached.sha256


def hashed(pair: str, kernels: Path) -> Hashed:
    folders = states_of([kernels, *(path for path in kernels.glob("*") if path.is_dir())])
    own_files = sorted(kernels.glob(f"*/{pair.split('.')[0]}*"))
    files = states_of(dict.fromkeys([*own_files, *(header for path in own_files for header in headers(path))]))
    digest = hashlib.sha256()
    for path in files:
        with contextlib.suppress(OSError):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return Hashed({**folders, **files}, digest.hexdigest())


def headers(path: Path) -> list[Path]:
    """The user's files that a kernel in CUDA C includes from its own folder."""
    if path.suffix == ".cu":
        with contextlib.suppress(OSError):
            return [file.path for file in user_files(path.read_bytes(), path.parent) or ()]
    return []


def states_of(paths: Iterable[Path]) -> dict[Path, State]:
    return {path: state(path) for path in paths}


def state(path: Path) -> State:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
