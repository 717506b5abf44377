"""The process of a judgement, and the process from which it is forked, as the process that wants the judgement sees
them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any

from ptxbench import cache
from ptxbench.check import task_channel
from ptxbench.check.judged import Judgements
from ptxbench.containment.compiler import HUGE_PAGES
from ptxbench.errors import MachineError

NEED, END, FREE = b"n", b"e", b"f"
"""Orders on a line: make what the pair's own kernels need; report how the judgement's process has ended; give its
process the next task, for it has only read a text."""

MOST_ANSWER = 16 << 20
"""The most bytes that the process of a judgement may answer."""

CLOSE_SECONDS = 2.0
"""How long the server may take to end a judgement, or itself."""


FROM_OTHERS = (signal.SIGKILL, signal.SIGTERM)
"""Signals that a process gets from others; a fault of its own gives it another one."""


class ServerLost(Exception):
    """The process from which judgements are forked has ended; the text says how. No candidate is the cause."""


class JudgementProcess:
    """A running judgement. `seconds`: how long it may take, without the time in which something else is waited for."""

    def __init__(self, server: ServerProcess, line: socket.socket, orders: int, answers: int, seconds: float) -> None:
        self.server = server
        self.line, self.reports = line, line.makefile("rb")
        self.orders: IO[bytes] = os.fdopen(orders, "wb", buffering=0)
        self.answers: IO[bytes] = os.fdopen(answers, "rb", buffering=0)
        self.deadline = time.monotonic() + seconds
        self.pid: int | None = None
        self.ended_here = self.is_free = False
        self.forked_from: subprocess.Popen[bytes] | None = None

    def events(self) -> Iterator[Mapping[str, Any]]:
        """The events of the process, until it ends. Raises TimeoutError after its time, and ServerLost."""
        waited = time.monotonic()
        self.pid = self.report().get("pid")
        self.deadline += time.monotonic() - waited
        pending, size = b"", 0
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.answers, selectors.EVENT_READ)
            while True:
                if not waiting.select(max(0.0, self.deadline - time.monotonic())):
                    raise TimeoutError
                part = os.read(self.answers.fileno(), 1 << 16)
                size += len(part)
                if not part or size > MOST_ANSWER:
                    return
                *lines, pending = (pending + part).split(b"\n")
                for line in lines:
                    reported = time.monotonic()
                    yield json.loads(line)
                    self.deadline += time.monotonic() - reported  # time that the parent needs is not counted

    def report(self) -> Mapping[str, Any]:
        """The next report of the server; {} if it made no process, because the pair cannot be loaded."""
        report = b""
        with contextlib.suppress(OSError):
            report = self.reports.readline()
        if report:
            content: Mapping[str, Any] = json.loads(report)
            return content
        self.server.require_open()
        if lost := self.server.loss(self.forked_from):
            raise ServerLost(lost)
        return {}

    def go_on(self) -> None:
        """Have the pair's own kernels made, and let the process begin the stage for which it waits."""
        with contextlib.suppress(OSError):
            self.line.sendall(NEED)
        self.report()
        with contextlib.suppress(OSError):
            self.orders.write(b"\n")

    def status(self) -> int:
        """The exit status, once the process has ended by itself; if it does not, the server ends it."""
        with contextlib.suppress(OSError):
            self.line.sendall(END)
        report = self.report()
        self.ended_here |= report.get("forced", False)
        return int(report.get("status", 0))

    def ended_by_others(self, status: int) -> bool:
        """Whether another program has ended the process, such as the kernel when memory runs out."""
        return -status in FROM_OTHERS and not self.ended_here

    def kill(self) -> None:
        """End the process and all that it has started."""
        self.ended_here = True
        with contextlib.suppress(ProcessLookupError):
            if self.pid is not None:
                os.killpg(self.pid, signal.SIGKILL)

    def free(self) -> None:
        """Leave the process to the server, for other judgements: this one is complete."""
        self.pid = None
        with contextlib.suppress(OSError):
            self.line.sendall(FREE)
        self.is_free = True

    def close(self) -> None:
        """End it and wait for that, unless it is free."""
        if not self.is_free:
            self.kill()
            self.line.settimeout(CLOSE_SECONDS)  # the server may prepare a pair
            with contextlib.suppress(ServerLost, MachineError):
                self.status()
        self.pid = None  # it may soon be another process's
        for channel in (self.reports, self.line, self.orders, self.answers):
            channel.close()


class ServerProcess:
    """A running `ptxbench.check.fork_server`, started at the first judgement, and again if it has died. Thread-safe.

    `judgements`: those on texts that it has judged.
    """

    def __init__(self) -> None:
        self.judgements = Judgements()
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.closed = False

    def start(self, task: str, complaints: IO[bytes], seconds: float) -> JudgementProcess:
        """Have a judgement forked; `task`: JSON; `complaints`: takes its standard error.

        Raises ServerLost if the server has died, MachineError after `close`.
        """
        own, line = socket.socketpair()
        read_orders, orders = os.pipe()
        answers, write_answers = os.pipe()
        judgement = JudgementProcess(self, own, orders, answers, seconds)
        content = task.encode()
        try:
            with self.lock:
                self.run()
                judgement.forked_from = self.process
                descriptors = [read_orders, write_answers, complaints.fileno(), line.fileno()]
                task_channel.send(self.control, content, descriptors)
        except BaseException as error:
            line.close()
            judgement.close()
            if isinstance(error, OSError):
                raise ServerLost(self.loss(judgement.forked_from) or "it takes no task") from None
            raise
        finally:
            line.close()
            os.close(read_orders)
            os.close(write_answers)
        return judgement

    def run(self) -> None:
        """Start the process unless it runs."""
        self.require_open()
        if self.process is not None:
            if self.process.poll() is None:
                return
            self.discard()
        self.control, control = socket.socketpair()
        self.complaints = tempfile.TemporaryFile()  # noqa: SIM115
        with control:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ptxbench.check.fork_server", str(control.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.complaints,
                env=environment(),
                pass_fds=[control.fileno()],
                start_new_session=True,  # Ctrl-C is for this process, which ends it
            )

    def require_open(self) -> None:
        """Raises MachineError after `close`: then a judgement has ended without its candidate's fault."""
        if self.closed:
            raise MachineError("The judge was closed before this judgement was complete.")

    def loss(self, process: subprocess.Popen[bytes] | None) -> str | None:
        """How a process of this server has ended, in words; None if it runs.

        It is not the one that runs now if another judgement has started that one in the meantime.
        """
        if process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
        if (status := process.poll()) is None:
            return None
        if status < 0:
            return f"it ended with {signal.Signals(-status).name}"
        with self.lock:
            if process is not self.process:
                return f"it ended with exit status {status}"
            self.complaints.seek(0)
            last = self.complaints.read()[-2000:].decode("utf-8", "replace").strip().splitlines()[-1:]
        return f"it ended with exit status {status}: {''.join(last)[:200]}"

    def close(self) -> None:
        """End the process and all judgements, for good."""
        self.closed = True
        with self.lock:
            if self.process is None:
                return
            self.control.close()
            try:
                self.process.wait(CLOSE_SECONDS)
            except subprocess.TimeoutExpired:  # it prepares a pair
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.discard()

    def discard(self) -> None:
        """Forget the process, which has ended."""
        self.control.close()
        self.complaints.close()
        self.process = None


FEW_THREADS = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "4"}
"""With a hundred cores, idle threads would otherwise need gigabytes of address space."""

KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""Freed arrays stay with the process for the next ones: glibc would return them, and their pages be made again."""


NEEDED = re.compile(
    r"PATH|HOME|LANG|LC_.*|TZ|LD_LIBRARY_PATH|VIRTUAL_ENV|CONDA_PREFIX|(PYTHON|PTXBENCH|CUDA|NUMBA|COV|XDG_CACHE).*|"
    r"SYSTEM(ROOT|DRIVE)|WINDIR|COMSPEC|PATHEXT|USERPROFILE|(LOCAL)?APPDATA|PROGRAM.*",
    re.I if sys.platform == "win32" else 0,
)
"""Environment variables that the process gets; others may contain secrets."""


def environment() -> dict[str, str]:
    """The environment that Python and the tools need. The cache stays the same although the working folder differs."""
    kept = cache.folder()
    own = {"PTXBENCH_CACHE": str(kept.absolute())} if kept else {}
    needed = {name: value for name, value in os.environ.items() if NEEDED.fullmatch(name)}
    return {**needed, **FEW_THREADS, **KEPT_MEMORY, **HUGE_PAGES, **own}
