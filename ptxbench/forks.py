"""Copies of this process, which start in milliseconds with everything that it has loaded. Only for a process without
other threads: a copy has only the thread that made it."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Collection

END_WITH_PARENT = 1
"""PR_SET_PDEATHSIG, linux/prctl.h."""

if sys.platform == "linux":
    LIBC = ctypes.CDLL(None)  # opened here, so that the copies have it

POLL_SECONDS = 0.001
"""Time between two checks of a process that is waited for."""


class Fork:
    """A copy of this process that runs `main` and ends. It keeps the file descriptors 0, 1, 2 and `inherited`, no
    other.

    `pid`, `returncode`, `poll`, `wait` and `kill` are those of subprocess.Popen.
    """

    def __init__(self, main: Callable[[], None], inherited: Collection[int]) -> None:
        self.returncode: int | None = None
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            run(main, inherited, parent)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        if timeout is None and self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        deadline = time.monotonic() + (timeout or 0.0)
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a copy of this process", timeout or 0.0)
            time.sleep(POLL_SECONDS)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


def run(main: Callable[[], None], inherited: Collection[int], parent: int) -> None:
    """Run `main` in the copy, and end it: nothing of the process that was copied runs again."""
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if callable(signal.getsignal(number)):  # not if it is ignored, as under nohup
                signal.signal(number, signal.SIG_DFL)
        keep_only(inherited)
        end_with(parent)
        main()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def keep_only(inherited: Collection[int]) -> None:
    """Close every file descriptor above 2 except these: others may belong to another judgement or launch."""
    ends = [2, *sorted(inherited), os.sysconf("SC_OPEN_MAX")]
    for low, high in itertools.pairwise(ends):
        os.closerange(low + 1, high)


def end_with(parent: int) -> None:
    """Let the kernel end this process when `parent`, which has forked it, ends; only on Linux."""
    if sys.platform == "linux":
        LIBC.prctl(END_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
