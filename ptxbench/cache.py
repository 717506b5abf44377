"""A folder with the tools' output, in files named after the hash of all inputs.

Safe to delete. An entry is written under another name and moved into place, and carries a hash of its content, so that
a truncated or altered entry is made again. Some entries are machine code that is loaded, so only the folder's user may
be able to write it (`refusal`). Without such a folder nothing is cached.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

FORMAT = "2"
"""Part of every name; a new value makes all old entries unused."""

DIGEST_BYTES = 32

PACKAGE = Path(__file__).parent

LAYER = "PTXBENCH_CACHE_LAYER"
"""Environment variable: the folder for new entries. The cache itself is then only read."""

SILENT = "PTXBENCH_CACHE_REFUSED"
"""Environment variable: the folder about which this process, or its parent, has already warned."""

logger = logging.getLogger(__name__)


def folder() -> Path | None:
    """The folder for entries: PTXBENCH_CACHE, else `ptxbench` in the user's cache folder; None without a home
    folder."""
    if chosen := os.environ.get("PTXBENCH_CACHE"):
        return Path(chosen)
    if (shared := os.environ.get("XDG_CACHE_HOME", "")) and Path(shared).is_absolute():  # XDG ignores relative paths
        return Path(shared) / "ptxbench"
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "ptxbench"


@functools.cache
def code_version(*names: str) -> str:
    """A hash of these files and folders of the package. The key of an entry that their code makes has it, so that an
    entry of other code is never used."""
    digest = hashlib.sha256()
    for name in names:
        path = PACKAGE / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(PACKAGE)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def remember(key: tuple[str, ...], make: Callable[[], bytes]) -> bytes:
    """The result of `make`, from the cache if it has an intact entry for `key`."""
    content = known(key)
    return replace(key, make()) if content is None else content


def remember_once(key: tuple[str, ...], make: Callable[[], bytes]) -> bytes:
    """`remember` for a result that takes seconds to make: while one process or thread makes it, the others wait for
    it."""
    if (content := known(key)) is not None:
        return content
    with locked(key):
        return remember(key, make)


def known(key: tuple[str, ...]) -> bytes | None:
    """The intact entry for `key`; None if there is none."""
    path = path_of(key)
    return next((content for root in roots() if (content := read(root / path)) is not None), None)


@contextlib.contextmanager
def locked(key: tuple[str, ...]) -> Iterator[None]:
    """Only one process and thread at a time runs the body, if there is a folder and the system has such locks."""
    with contextlib.ExitStack() as stack:
        if (folders_in_use := roots()) and sys.platform != "win32":
            import fcntl

            root = folders_in_use[-1]
            path = (root / path_of(key)).with_suffix(".lock")
            with contextlib.suppress(OSError):  # full or read-only: made more than once, but still correct
                root.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                file = stack.enter_context(path.open("wb"))
                fcntl.flock(file, fcntl.LOCK_EX)
                stack.callback(path.unlink, missing_ok=True)  # a process that waits for this file then finds the entry
        yield


def replace(key: tuple[str, ...], content: bytes) -> bytes:
    """Store `content` for `key`; returns it."""
    if folders_in_use := roots():
        try:
            put(folders_in_use[-1], path_of(key), content)
        except OSError as error:  # full or read-only: slower, but still correct
            if LAYER not in os.environ:
                warn_once(folders_in_use[-1], slow_advice(folders_in_use[-1], error))
    return content


def path_of(key: tuple[str, ...]) -> Path:
    """The path of the entry for `key`, relative to a folder."""
    # The length of each part first, so that ("ab", "c") and ("a", "bc") differ.
    text = "".join(f"{len(part)}:{part}" for part in (FORMAT, *key))
    name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return Path(name[:2], name[2:])


def roots() -> list[Path]:
    """The folders that may be used, in reading order; new entries go to the last."""
    return [candidate for candidate in folders() if usable(candidate)]


def folders() -> Iterator[Path]:
    """The folders to read from; new entries go to the last."""
    if (root := folder()) is not None:
        yield root
        if layer := os.environ.get(LAYER):
            yield Path(layer)


# ---- who can write it


def usable(root: Path) -> bool:
    """Whether a folder may be used; if not, warns once."""
    if (reason := refusal(root)) is None:
        return True
    warn_once(root, advice(root, reason))
    return False


def warn_once(root: Path, sentence: str) -> None:
    """Warn about a folder, unless this process or its parent already has."""
    if os.environ.get(SILENT) != str(root):
        os.environ[SILENT] = str(root)
        logger.warning("%s", sentence)


def advice(root: Path, reason: str) -> str:
    """The sentence about a refused folder."""
    return f"The cache {root} is not used: {reason}. Set PTXBENCH_CACHE to a folder that only you can write."


def slow_advice(root: Path, error: OSError) -> str:
    """The sentence about a folder that takes no new entry."""
    return (
        f"The cache {root} cannot be written ({error.strerror}), so each command compiles everything again. That can "
        "take a minute. Set PTXBENCH_CACHE to a folder that only you can write."
    )


def refusal(root: Path) -> str | None:
    """Why a folder must not be used as the cache; None if it may be used, or does not exist.

    It must belong to this user or to root, and no other user may be able to write or replace it.
    """
    if not hasattr(os, "geteuid"):  # on Windows, a user's folders belong to the user
        return None
    path_text = str(root.absolute())
    cache_names = dict.fromkeys((path_text, os.path.realpath(path_text)))
    # Text, because Path objects would take most of the time of a look-up.
    for path in dict.fromkeys(itertools.chain(cache_names, *map(folders_above, cache_names))):
        try:
            state = os.lstat(path)
        except OSError:  # missing or inaccessible, so nothing is read from it
            continue
        is_cache = path in cache_names
        name = "it" if is_cache else path
        if state.st_uid not in (os.geteuid(), 0):
            return f"{name} belongs to another user"
        if not stat.S_ISLNK(state.st_mode) and writable_by_others(state, is_cache=is_cache):
            return f"other users can write to {name}"
    return None


def folders_above(path: str) -> Iterator[str]:
    while (parent := os.path.dirname(path)) != path:  # noqa: PTH120
        yield (path := parent)


def writable_by_others(state: os.stat_result, *, is_cache: bool) -> bool:
    """Whether others can put a file in a folder, or replace one that belongs to this user."""
    if not is_cache and state.st_mode & stat.S_ISVTX:  # as /tmp: only its owner replaces a file
        return False
    group = state.st_mode & stat.S_IWGRP and (is_cache or not is_private(state.st_gid))
    return bool(group or state.st_mode & stat.S_IWOTH)


def is_private(group: int) -> bool:
    """Whether a group is the user's own; many systems create one per user."""
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
    """Write an entry below `root`, which is created if it is missing. Raises OSError."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if usable(root):  # another user may have created it first
        write(root / name, content)


def write(path: Path, content: bytes) -> None:
    """Put an entry in place in one step, so that other processes never see an incomplete one. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
