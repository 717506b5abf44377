"""The program `ptxbench`, also as `python -m ptxbench`: its signals and streams, before anything else is imported."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end the program as Ctrl-C does: what is finished is saved, and no process or folder is left behind."""

RECEIVED: list[int] = []
"""Those that have arrived."""

STREAMS = ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY))


def program() -> int:
    """Run the command line; return the exit status. Ctrl-C never shows a traceback, whatever runs at that time."""
    # A process that starts with SIGINT ignored, such as a shell's background job, keeps it so.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # during these imports Ctrl-C ends the process silently
    open_closed_streams()
    atexit.register(end_by_signal)  # the first one runs last
    from ptxbench.cli import main
    from ptxbench.exit_status import ExitStatus

    if interruptible:
        sys.unraisablehook = repeat_interrupt
    try:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:  # not for nohup, which ignores SIGHUP
                signal.signal(number, end_in_order)
        return main()
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    finally:
        if interruptible:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to save: the interpreter only cleans up


def end_in_order(number: int, frame: object) -> None:
    """Interrupt the program at a signal."""
    RECEIVED.append(number)
    raise KeyboardInterrupt


def end_by_signal() -> None:
    """End the program by the signal that interrupted it, which its parent then sees."""
    for number in RECEIVED[:1]:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def open_closed_streams() -> None:
    """Open /dev/null in place of standard streams that are closed.

    Otherwise the next file that is opened would take the number of the stream, and get what is printed.
    """
    for number, mode in STREAMS:
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)  # the lowest number that is free: this one
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  it stays open
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  it stays open
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def repeat_interrupt(failure: sys.UnraisableHookArgs) -> None:
    """Interrupt again if Ctrl-C came where Python only prints an exception: in a destructor or a callback."""
    import threading

    if issubclass(failure.exc_type, KeyboardInterrupt):
        threading.Timer(0.01, interrupt).start()  # not here, where it would be lost again
    else:
        sys.__unraisablehook__(failure)


def interrupt() -> None:
    """Press Ctrl-C: the main thread gets the signal, also while it waits."""
    import threading

    if main := threading.main_thread().ident:
        signal.pthread_kill(main, signal.SIGINT)


if __name__ == "__main__":
    sys.exit(program())
