"""Standard input that also ends at a signal, for a server that ends when its input does."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def ending_at_signals() -> Iterator[None]:
    """Let standard input end at Ctrl-C, SIGTERM and SIGHUP; the signal is raised again at the end of the block.

    A thread that reads standard input cannot be interrupted: a server that waits for it would hang.
    """
    received: list[int] = []
    ours, theirs = socket.socketpair()

    def end(number: int, frame: object) -> None:
        received.append(number)
        with suppress(OSError):
            ours.shutdown(socket.SHUT_WR)

    original = os.dup(0)
    os.dup2(theirs.fileno(), 0)
    theirs.close()
    threading.Thread(target=copy, args=(original, ours), daemon=True).start()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in handlers.items():
        if handler is not signal.SIG_IGN:  # as for a job in the background, or with nohup
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.dup2(original, 0)
        ours.close()
    for number in received[:1]:
        signal.raise_signal(number)


def copy(descriptor: int, connection: socket.socket) -> None:
    """Send what a file has until it ends, and then end the connection."""
    with suppress(OSError):
        while content := os.read(descriptor, 1 << 16):
            connection.sendall(content)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
