"""The cache of a judgement's process: a folder for each candidate, in addition to the user's cache.

The process reads the user's cache and can write only to its own folder. Only judgements of the same text read that
folder, so a candidate cannot affect others.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from ptxbench import cache

FOLDER = "candidates"

MOST_LAYERS = 200
"""The most folders of candidates that are kept. The one that was judged longest ago is removed first."""

REMOVED_AT_ONCE = 20
"""How many folders above MOST_LAYERS there may be, because finding the oldest ones takes a stat of each."""

MOST_BYTES = 32 << 20
"""The most bytes of one candidate's folder: ten times what the largest shipped kernel makes."""


def layer(sha256: str) -> Path | None:
    """The folder of the candidate with this hash, created if it is missing; None without a usable cache."""
    root = cache.folder()
    if root is None:
        return None
    folder = root.absolute() / FOLDER / sha256
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not cache.usable(root):
            return None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.utime(folder)
    except OSError:  # full, read-only or in the way
        return None
    return folder


def tidy(folder: Path) -> None:
    """Remove a layer that is empty or has become too large, and the oldest ones if there are too many."""
    with contextlib.suppress(OSError):
        folder.rmdir()  # succeeds if it is empty: a text that is refused early makes no entry
        return
    with contextlib.suppress(OSError):
        if size(folder) > MOST_BYTES:
            shutil.rmtree(folder)
        if sum(1 for _ in os.scandir(folder.parent)) < MOST_LAYERS + REMOVED_AT_ONCE:
            return
        layers = sorted(os.scandir(folder.parent), key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)
        for entry in layers[:-MOST_LAYERS]:
            shutil.rmtree(entry.path)


def size(folder: Path) -> int:
    """Bytes of the files in a folder, without following links."""
    return sum(Path(path, name).lstat().st_size for path, _, names in os.walk(folder) for name in names)
