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
from ptxbench.check.answers import Answer, read_answer
from ptxbench.check.judged import Judgements
from ptxbench.containment.compiler import HUGE_PAGES
from ptxbench.errors import MachineError
from ptxbench.toolchain.locate import raise_if_machine

NEED, END, FREE = b"n", b"e", b"f"
"""Orders on a connection. NEED: make what judgements need of the pair's own kernels. END: report how the judgement's
process has ended. FREE: the process has only read a text, so it can take another task."""

MOST_ANSWER = 16 << 20
"""The most bytes of all answers of a judgement's process."""

CLOSE_SECONDS = 2.0
"""How long the server may take to end a judgement, or itself."""

FROM_OTHERS = (signal.SIGKILL, signal.SIGTERM)
"""Signals that come from other programs; a fault of the process itself causes another one."""


class ServerLost(Exception):
    """The process from which judgements are forked has ended; the text says how. No candidate is the cause."""


class JudgementProcess:
    """A running judgement. `seconds`: how long it may take; the time of the server and of the caller is not counted."""

    def __init__(
        self, server: ServerProcess, connection: socket.socket, orders: int, answers: int, seconds: float
    ) -> None:
        self.server = server
        self.connection, self.reports = connection, connection.makefile("rb")
        self.orders: IO[bytes] = os.fdopen(orders, "wb", buffering=0)
        self.answers: IO[bytes] = os.fdopen(answers, "rb", buffering=0)
        self.deadline = time.monotonic() + seconds
        self.pid: int | None = None
        self.ended_here = self.is_free = False
        self.forked_from: subprocess.Popen[bytes] | None = None

    def events(self) -> Iterator[Answer]:
        """The answers of the process until it ends. Raises TimeoutError if it takes too long, InvalidAnswer, and
        ServerLost."""
        asked_at = time.monotonic()
        self.pid = self.report().get("pid")
        self.deadline += time.monotonic() - asked_at
        pending, size = b"", 0
        with selectors.DefaultSelector() as selector:
            selector.register(self.answers, selectors.EVENT_READ)
            while True:
                if not selector.select(max(0.0, self.deadline - time.monotonic())):
                    raise TimeoutError
                part = os.read(self.answers.fileno(), 1 << 16)
                size += len(part)
                if not part or size > MOST_ANSWER:
                    return
                *lines, pending = (pending + part).split(b"\n")
                for line in lines:
                    yielded_at = time.monotonic()
                    yield read_answer(line)
                    self.deadline += time.monotonic() - yielded_at  # the time of the caller is not counted

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
        """Let the server make what the pair's own kernels need, and then the process begin the stage for which it
        waits."""
        with contextlib.suppress(OSError):
            self.connection.sendall(NEED)
        self.report()
        with contextlib.suppress(OSError):
            self.orders.write(b"\n")

    def status(self) -> int:
        """The exit status, once the process has ended by itself; if it does not, the server ends it.

        Raises ServerLost if the server does not report it: then it is ending, although it may still seem to run.
        """
        with contextlib.suppress(OSError):
            self.connection.sendall(END)
        report = self.report()
        if "status" not in report:
            raise ServerLost("it has closed its connection")
        self.ended_here |= report["forced"]
        return int(report["status"])

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
        """Leave the process to the server for other judgements, because this one is complete."""
        self.pid = None
        with contextlib.suppress(OSError):
            self.connection.sendall(FREE)
        self.is_free = True

    def close(self) -> None:
        """End the process and wait until it has ended, unless it was left to the server."""
        if not self.is_free:
            self.kill()
            self.connection.settimeout(CLOSE_SECONDS)  # the server may prepare a pair
            with contextlib.suppress(ServerLost, MachineError):
                self.status()
        self.pid = None  # another process may soon have this number
        for channel in (self.reports, self.connection, self.orders, self.answers):
            channel.close()


class ServerProcess:
    """A running `ptxbench.check.fork_server`. It is started at the first judgement, and again if it has died.
    Thread-safe.

    `judgements`: the last ones that it has made.
    """

    def __init__(self) -> None:
        self.judgements = Judgements()
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.closed = False

    def start(self, task: str, complaints: IO[bytes], seconds: float) -> JudgementProcess:
        """Start the process of a judgement. `task`: JSON; `complaints`: the file for its standard error.

        Raises ServerLost if the server has died, MachineError after `close`, and OSError if too many files are open.
        """
        client_end, server_end = socket.socketpair()
        read_orders, orders = os.pipe()
        answers, write_answers = os.pipe()
        judgement = JudgementProcess(self, client_end, orders, answers, seconds)
        content = task.encode()
        try:
            with self.lock:
                self.run()
                judgement.forked_from = self.process
                descriptors = [read_orders, write_answers, complaints.fileno(), server_end.fileno()]
                task_channel.send(self.control, content, descriptors)
        except BaseException as error:
            server_end.close()
            judgement.close()
            if isinstance(error, OSError):
                raise_if_machine(error)
                raise ServerLost(self.loss(judgement.forked_from) or "it takes no task") from None
            raise
        finally:
            server_end.close()
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
        with contextlib.ExitStack() as opened:
            own_end, control = map(opened.enter_context, socket.socketpair())
            complaints = opened.enter_context(tempfile.TemporaryFile())
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ptxbench.check.fork_server", str(control.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                env=environment(),
                pass_fds=[control.fileno()],
                start_new_session=True,  # Ctrl-C must reach only this process, which then ends the server
            )
            self.control, self.complaints = own_end, complaints
            opened.pop_all()
            control.close()

    def require_open(self) -> None:
        """Raises MachineError after `close`: then a judgement has ended without its candidate's fault."""
        if self.closed:
            raise MachineError("The judge was closed before this judgement was complete.")

    def loss(self, process: subprocess.Popen[bytes] | None) -> str | None:
        """How a process of this server has ended, in words; None if it still runs.

        Another judgement may have started a newer process in the meantime.
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


FEW_THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "4"}
"""With a hundred cores, idle threads would otherwise need gigabytes of address space. A second thread of BLAS saves no
time, and without work it takes a core from another judgement."""

KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""Memory of freed arrays stays with the process for the next ones. By default glibc returns it to the system, which
must then make the pages again."""


NEEDED = re.compile(
    r"PATH|HOME|LANG|LC_.*|TZ|LD_LIBRARY_PATH|VIRTUAL_ENV|CONDA_PREFIX|"
    r"(PYTHON(?!.*PERF)|PTXBENCH|CUDA|NUMBA|COV|XDG_CACHE).*|"
    r"SYSTEM(ROOT|DRIVE)|WINDIR|COMSPEC|PATHEXT|USERPROFILE|(LOCAL)?APPDATA|PROGRAM.*",
    re.I if sys.platform == "win32" else 0,
)
"""Environment variables that the process gets; others may contain secrets. Not PYTHONPERFSUPPORT: a
copy of the process closes the file to which Python then writes, and the next file that it opens gets that number."""


def environment() -> dict[str, str]:
    """The environment that Python and the tools need. The cache stays the same although the working folder differs."""
    cache_folder = cache.folder()
    cache_variable = {"PTXBENCH_CACHE": str(cache_folder.absolute())} if cache_folder else {}
    needed = {name: value for name, value in os.environ.items() if NEEDED.fullmatch(name)}
    return {**needed, **FEW_THREADS, **KEPT_MEMORY, **HUGE_PAGES, **cache_variable}
