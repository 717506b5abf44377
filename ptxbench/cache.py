"""A folder of what the tools made, each file named after the hash of everything that it was made from.

Safe to delete: an entry is written under another name and moved into place, and carries a hash of its content, so that
one that was cut short or altered is made again. Some entries are machine code that is loaded, so the folder must be one
that only its user can write (`refusal`). Without such a folder nothing is remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

FORMAT = "2"
"""Part of every name; another one leaves the old entries behind."""

DIGEST_BYTES = 32

LAYER = "PTXBENCH_CACHE_LAYER"
"""Environment variable: the folder where new entries go. The cache itself is then only read."""

SILENT = "PTXBENCH_CACHE_REFUSED"
"""Environment variable: the folder that this process, or the one that started it, has already warned of."""

logger = logging.getLogger(__name__)


def folder() -> Path | None:
    """Where entries go: PTXBENCH_CACHE, else `ptxbench` in the user's cache folder; None for a user without a home."""
    if named := os.environ.get("PTXBENCH_CACHE"):
        return Path(named)
    if (shared := os.environ.get("XDG_CACHE_HOME", "")) and Path(shared).is_absolute():  # others are void, says XDG
        return Path(shared) / "ptxbench"
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "ptxbench"


def remember(key: tuple[str, ...], make: Callable[[], bytes]) -> bytes:
    """What `make` gives, from the cache where it holds an intact entry for `key`."""
    for root in roots():
        if (content := read(root / path_of(key))) is not None:
            return content
    return replace(key, make())


def replace(key: tuple[str, ...], content: bytes) -> bytes:
    """The content, which is remembered for `key` from now on."""
    if folders_in_use := roots():
        with contextlib.suppress(OSError):  # full, read-only or in the way: slower, no worse
            put(folders_in_use[-1], path_of(key), content)
    return content


def path_of(key: tuple[str, ...]) -> Path:
    """Where below a folder the entry for `key` is."""
    # The length of each part first, so that ("ab", "c") and ("a", "bc") differ.
    text = "".join(f"{len(part)}:{part}" for part in (FORMAT, *key))
    name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return Path(name[:2], name[2:])


def roots() -> list[Path]:
    """The folders that may be used, in the order in which they are read; new entries go to the last."""
    return [each for each in folders() if usable(each)]


def folders() -> Iterator[Path]:
    """The folders to read from; new entries go to the last."""
    if (root := folder()) is not None:
        yield root
        if layer := os.environ.get(LAYER):
            yield Path(layer)


# ---- who can write it


def usable(root: Path) -> bool:
    """Whether a folder may be used; if not, says so, once."""
    if (reason := refusal(root)) is None:
        return True
    if os.environ.get(SILENT) != str(root):
        os.environ[SILENT] = str(root)
        logger.warning("%s", advice(root, reason))
    return False


def advice(root: Path, reason: str) -> str:
    """The sentence about a folder that is refused."""
    return f"The cache {root} is not used: {reason}. Set PTXBENCH_CACHE to a folder that only you can write."


def refusal(root: Path) -> str | None:
    """Why a folder must not be used as the cache; None where it may be, or does not exist.

    It must belong to this user, or to root, and no other user may be able to write it, or to replace it.
    """
    if not hasattr(os, "geteuid"):  # Windows: a user's folders are the user's own
        return None
    root = root.absolute()
    for path in dict.fromkeys((root, root.resolve(), *root.parents, *root.resolve().parents)):
        try:
            state = path.lstat()
        except OSError:  # not there, or not to be reached, and then nothing is read from it
            continue
        own = path in (root, root.resolve())
        name = "it" if own else str(path)
        if state.st_uid not in (os.geteuid(), 0):
            return f"{name} belongs to another user"
        if not stat.S_ISLNK(state.st_mode) and writable_by_others(state, own=own):
            return f"other users can write to {name}"
    return None


def writable_by_others(state: os.stat_result, *, own: bool) -> bool:
    """Whether others can put a file in a folder, or replace one that belongs to this user."""
    if not own and state.st_mode & stat.S_ISVTX:  # as /tmp: only its owner replaces a file
        return False
    group = state.st_mode & stat.S_IWGRP and (own or not is_private(state.st_gid))
    return bool(group or state.st_mode & stat.S_IWOTH)


def is_private(group: int) -> bool:
    """Whether a group is the user's own, as many systems make one for each user."""
    import grp
    import pwd

    try:
        entry = grp.getgrgid(group)
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False
    return entry.gr_name == name and set(entry.gr_mem) <= {name}


# ---- entries


def read(path: Path) -> bytes | None:
    """The content of one entry; None if it is missing or damaged."""
    try:
        entry = path.read_bytes()
    except OSError:
        return None
    content = entry[DIGEST_BYTES:]
    if entry[:DIGEST_BYTES] == hashlib.sha256(content).digest():
        return content
    logger.warning("%s is damaged and is made again.", path)
    return None


def put(root: Path, name: Path, content: bytes) -> None:
    """Write an entry below `root`, which is made where it is missing. Raises OSError."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if usable(root):  # somebody may have made it first
        write(root / name, content)


def write(path: Path, content: bytes) -> None:
    """Put an entry in place in one step, so that no other process sees a part of it. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
