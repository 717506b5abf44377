"""Ctrl-C: processes that it does not reach, because their parent ends them, and waits that it always ends."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import IO, TypeVar

Item = TypeVar("Item")

WAIT_SECONDS = 0.5
"""The time after which a wait looks whether Ctrl-C was pressed."""


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

    A read alone may not end on Ctrl-C: the signal may arrive just before it, or in another thread. Or a library has a
    handler of its own for the signal, as Polars does; then the system goes on reading (SA_RESTART).
    """
    if not hasattr(select, "poll"):
        return
    waiting = select.poll()
    waiting.register(stream, select.POLLIN)
    while not waiting.poll(1000 * WAIT_SECONDS):
        pass


def wait_for_item(queue: SimpleQueue[Item]) -> Item:
    """The next item of a queue. Raises KeyboardInterrupt, also where `queue.get()` alone would not, as for a read."""
    while True:
        with suppress(Empty):
            return queue.get(timeout=WAIT_SECONDS)


def end_with_parent(parent: int) -> None:
    """End this process soon after its parent, whatever its other threads do."""
    while os.getppid() == parent:
        time.sleep(WAIT_SECONDS)
    os._exit(1)
