"""The program `ptxbench`, also as `python -m ptxbench`: its signals and streams, before anything else is imported."""

from __future__ import annotations

import os
import signal
import sys

STREAMS = ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY))


def program() -> int:
    """Run the command line; return the exit status. Ctrl-C never shows a traceback, whatever runs at that time."""
    # A process that starts with SIGINT ignored, such as a shell's background job, keeps it so.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # during these imports Ctrl-C ends the process silently
    open_closed_streams()
    from ptxbench.cli import main
    from ptxbench.exit_status import ExitStatus

    if not interruptible:
        return main()
    sys.unraisablehook = repeat_interrupt
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return main()
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to save: the interpreter only cleans up


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
