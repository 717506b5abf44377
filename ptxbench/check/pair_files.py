"""A hash of a pair's files and of the headers that they include, which tells whether the pair must be loaded again."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ptxbench.discovery import LoadedPair
from ptxbench.toolchain.options import include_folders
from ptxbench.toolchain.source_hash import user_headers

State = tuple[int, ...] | None
"""What changes when a file, or the list of files in a folder, changes; None if the path does not exist."""


class Hashed(NamedTuple):
    states: dict[Path, State]
    """The states of the pair's files and headers, of the folder of kernels and of the folders in it, before the files
    were read."""
    sha256: str
    has_include_option: bool
    """Whether a Python file of the pair has the text -I."""


HASHED: dict[tuple[str, Path], Hashed] = {}


def hash_of_files(pair: str, kernels: Path) -> str:
    """A hash of the pair's files and of the headers that they include from their own folders.

    They are searched and read again only if one of them or a folder has changed.
    """
    return hashed_now(pair, kernels).sha256


def may_include_elsewhere(pair: str, kernels: Path) -> bool:
    """Whether the pair's kernels may include headers of other folders, which only its `flags` can name.

    The pair file is not executed, because it is not trusted here.
    """
    return hashed_now(pair, kernels).has_include_option


def hashed_now(pair: str, kernels: Path) -> Hashed:
    cached = HASHED.get((pair, kernels))
    if cached is None or cached.states != states_of(cached.states):
        cached = HASHED[pair, kernels] = hashed(pair, kernels)
    return cached


def hashed(pair: str, kernels: Path) -> Hashed:
    folders = states_of([kernels, *(path for path in kernels.glob("*") if path.is_dir())])
    own_files = sorted(kernels.glob(f"*/{pair.split('.')[0]}*"))
    files = states_of(dict.fromkeys([*own_files, *(header for path in own_files for header in headers(path))]))
    digest, has_include_option = hashlib.sha256(), False
    for path in files:
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            digest.update(path.name.encode() + b"\0" + content)
            has_include_option |= path.suffix == ".py" and b"-I" in content
    return Hashed({**folders, **files}, digest.hexdigest(), has_include_option)


def headers(path: Path, options: Sequence[str] = ()) -> list[Path]:
    """The user's files that a kernel includes with these options of NVRTC; if they are not known, all files of the
    folders that are searched."""
    with contextlib.suppress(OSError):
        found = user_headers(path.read_bytes(), path, options)
        if found is not None:
            return [file.path for file in found]
        folders = [path.parent, *include_folders(options)]
        return [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return []


def states_of_headers(loaded: LoadedPair) -> dict[Path, State]:
    """The states of all headers that a loaded pair's kernels include from the folders of -I among its `flags`."""
    sources = [source for source in loaded.sources if include_folders(source.flags)]
    return states_of(path for source in sources for file in source.files for path in headers(file, source.flags))


def states_of(paths: Iterable[Path]) -> dict[Path, State]:
    return {path: state(path) for path in paths}


def state(path: Path) -> State:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
