"""A folder of what the tools made, each file named after the hash of everything that it was made from.

Safe to delete and to share: an entry is written under another name and moved into place, and carries a hash of its
content, so that one that was cut short or altered is made again. Without a writable folder nothing is remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

FORMAT = "1"
"""Part of every name; another one leaves the old entries behind."""

DIGEST_BYTES = 32

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
    root = folder()
    if root is None:
        return make()
    # The length of each part first, so that ("ab", "c") and ("a", "bc") differ.
    text = "".join(f"{len(part)}:{part}" for part in (FORMAT, *key))
    name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    path = root / name[:2] / name[2:]
    content = read(path)
    if content is None:
        content = make()
        with contextlib.suppress(OSError):  # full, read-only or in the way: slower, no worse
            write(path, content)
    return content


def read(path: Path) -> bytes | None:
    """The content of one entry; None where there is none, or none that is intact."""
    try:
        entry = path.read_bytes()
    except OSError:
        return None
    content = entry[DIGEST_BYTES:]
    if entry[:DIGEST_BYTES] == hashlib.sha256(content).digest():
        return content
    logger.warning("%s is damaged; it is made again.", path)
    return None


def write(path: Path, content: bytes) -> None:
    """Put an entry in place in one step, so that no other process sees a part of it. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # some of it is code that will run
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
