"""Ctrl-C: processes that it does not reach, because their parent ends them, and waits that it always ends."""

from __future__ import annotations

import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

WAIT_MS = 500
"""Milliseconds after which a wait looks whether Ctrl-C was pressed."""


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back: a process that starts meanwhile never gets it, if the system has signal masks."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # A signal that arrived just before is raised by this call, after it has changed the mask.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wait_readable(stream: IO[bytes] | IO[str]) -> None:
    """Wait until a pipe has something to read, or is closed. Raises KeyboardInterrupt.

    A read alone does not end on Ctrl-C if the signal arrives just before it, or if another thread receives it.
    """
    if not hasattr(select, "poll"):
        return
    waiting = select.poll()
    waiting.register(stream, select.POLLIN)
    while not waiting.poll(WAIT_MS):
        pass
