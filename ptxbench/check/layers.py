"""Where the process of a judgement keeps what it makes: a folder for each candidate, beside the user's cache.

The process reads the user's cache and can write to its own folder alone. Only judgements of the same text read that
folder, so what a text makes of it concerns no other.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from ptxbench import cache

FOLDER = "candidates"

MOST_LAYERS = 200
"""Of candidates; the one that was judged longest ago goes first."""

MOST_BYTES = 32 << 20
"""Of one candidate: ten times what the largest shipped kernel makes."""


def layer(sha256: str) -> Path | None:
    """The folder of the candidate with this hash, made where it is missing; None without a cache that may be used."""
    root = cache.folder()
    if root is None:
        return None
    own = root.absolute() / FOLDER / sha256
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not cache.usable(root):
            return None
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.utime(own)
    except OSError:  # full, read-only or in the way
        return None
    return own


def tidy(own: Path) -> None:
    """Remove a layer that has grown beyond any need, and the oldest ones where there are too many."""
    with contextlib.suppress(OSError):
        if size(own) > MOST_BYTES:
            shutil.rmtree(own)
        others = sorted(os.scandir(own.parent), key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)
        for entry in others[:-MOST_LAYERS]:
            shutil.rmtree(entry.path)


def size(folder: Path) -> int:
    """Bytes of the files in a folder, without following links."""
    return sum(Path(path, name).lstat().st_size for path, _, names in os.walk(folder) for name in names)
