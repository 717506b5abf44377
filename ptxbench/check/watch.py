"""Which files have changed since they were last looked at."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

SECONDS = 0.3
"""Between two looks: less than a person waits after saving, and nothing to a machine."""


def changes(
    paths: Callable[[], Sequence[Path]], pause: Callable[[], None] = lambda: time.sleep(SECONDS)
) -> Iterator[tuple[Path, ...]]:
    """All of them at first, then those that are new or have changed. A file that is gone has not changed.

    `paths` is asked at every look, because a folder can get new files.
    """
    known: dict[Path, tuple[int, int]] = {}
    while True:
        now = {path: state for path in paths() if (state := state_of(path)) is not None}
        changed = tuple(path for path in now if known.get(path) != now[path])
        known.update(now)
        if changed:
            yield changed
        pause()


def state_of(path: Path) -> tuple[int, int] | None:
    """What differs after a change; None where there is no such file, and for a folder."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return None if stat.S_ISDIR(found.st_mode) else (found.st_mtime_ns, found.st_size)
