"""Reports which files have changed since the last look."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

SECONDS = 0.3
"""Between two looks: a delay that is hardly noticeable after saving, and few looks cost little."""


def changed_files(
    paths: Callable[[], Sequence[Path]], pause: Callable[[], None] = lambda: time.sleep(SECONDS)
) -> Iterator[tuple[Path, ...]]:
    """Yields first all paths, then those that are new or have changed. A deleted file does not count.

    `paths` is called at every look, because a folder can get new files.
    """
    states: dict[Path, tuple[int, int]] = {}
    while True:
        now = {path: state for path in paths() if (state := file_state(path)) is not None}
        changed = tuple(path for path in now if states.get(path) != now[path])
        states.update(now)
        if changed:
            yield changed
        pause()


def file_state(path: Path) -> tuple[int, int] | None:
    """A value that differs after a change; None for a missing file or a folder."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return None if stat.S_ISDIR(state.st_mode) else (state.st_mtime_ns, state.st_size)
