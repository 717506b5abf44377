"""The emulator's process: started on first use, kept, and replaced if it dies. It can be this process too."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from ptxbench import errors
from ptxbench.emulator import memory
from ptxbench.emulator.memory import Bytes
from ptxbench.emulator.messages import ErrorReply, LaunchReply, LaunchRequest, RetryReply, TranslationCache
from ptxbench.emulator.runtime.context import GLOBAL_BASE
from ptxbench.errors import EmulatorCrash
from ptxbench.forks import Fork
from ptxbench.interrupts import wait_readable, without_interrupts


def spawn(handle: int) -> subprocess.Popen[bytes]:
    """A new process that answers launches; `handle`: of the arena."""
    return subprocess.Popen(
        # -P: the current folder may contain untrusted files, so modules must not be imported from it
        [sys.executable, "-P", "-m", "ptxbench.emulator.worker", str(handle), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[handle],
    )


class ForkedWorker(Fork):
    """A copy of this process that answers launches. `stdin` takes launches, `stdout` gives the answers."""

    def __init__(self, handle: int) -> None:
        from ptxbench.emulator import worker

        request_reader, request_writer = os.pipe()
        answer_reader, answer_writer = os.pipe()
        parent = os.getpid()

        def serve() -> None:
            worker.serve_parent(handle, parent, os.fdopen(request_reader, "rb"), os.fdopen(answer_writer, "wb"))

        super().__init__(serve, (handle, request_reader, answer_writer))
        os.close(request_reader)
        os.close(answer_writer)
        self.stdin: IO[bytes] | None = os.fdopen(request_writer, "wb")
        self.stdout: IO[bytes] | None = os.fdopen(answer_reader, "rb")


class Process:
    """A running `ptxbench.emulator.worker` and the arena shared with it."""

    def __init__(self, start: Callable[[int], subprocess.Popen[bytes] | ForkedWorker] = spawn) -> None:
        self.arena = memory.Arena()
        self.translations = TranslationCache()
        with without_interrupts():  # also while it imports, when it cannot handle Ctrl-C yet
            self.process = start(self.arena.handle)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def perform(self, request: LaunchRequest, contents: Sequence[tuple[int, Bytes]]) -> tuple[LaunchReply, list[Bytes]]:
        """Put `contents` at their offsets in the arena and run `request`; returns its answer, and views of the new
        contents. Frozen contents that the launch does not change stay there for the next one."""
        self.arena.reserve(request.arena_bytes)
        answer: LaunchReply | RetryReply | ErrorReply = RetryReply()
        while isinstance(answer, RetryReply):
            views = [self.arena.put(offset, content) for offset, content in contents]
            answer = self.ask(request)
            self.forget_stored(request, answer.stored_buffers if isinstance(answer, LaunchReply) else None)
        self.arena.keep_only(offset for offset, _ in contents)
        if isinstance(answer, ErrorReply):
            if answer.name == errors.MachineError.__name__:
                stop_process()  # some threads of the launch may still run
            raise getattr(errors, answer.name)(answer.message)
        return answer, views

    def forget_stored(self, request: LaunchRequest, stored: frozenset[int] | None) -> None:
        """Forget frozen contents that a launch may have changed: it stored to these buffers; None: perhaps to all."""
        if stored is None:
            self.arena.keep_only(())
            return
        for low, high in (request.buffers[index] for index in stored):
            self.arena.forget(low - GLOBAL_BASE, high - GLOBAL_BASE)

    def ask(self, request: LaunchRequest) -> LaunchReply | RetryReply | ErrorReply:
        """The answer to `request`. Raises EmulatorCrash. An interrupt ends the process before the request is done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            pickle.dump(request, self.process.stdin)
            self.process.stdin.flush()
            wait_readable(self.process.stdout)
            answer: LaunchReply | RetryReply | ErrorReply = self.translations.load(self.process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)  # its own exit status says more than one that we cause
            stop_process()
            raise EmulatorCrash(describe_crash(request, self.process.returncode or 0)) from None
        except BaseException:
            stop_process()
            raise
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.arena.close()


class InThisProcess(Process):
    """The emulator in this process, without one of its own. A crash of the emulator ends this process; a launch that
    takes too much memory raises MemoryError."""

    def __init__(self) -> None:
        from ptxbench.emulator import worker

        self.arena = memory.Arena()
        self.host = worker.ProcessHost(self.arena.handle)
        self.answer = functools.partial(worker.reply_to, host=self.host)

    @property
    def running(self) -> bool:
        return True

    def ask(self, request: LaunchRequest) -> LaunchReply | RetryReply | ErrorReply:
        self.host.arena = self.arena.map  # another one would take as much address space again
        return self.answer(request)

    def stop(self) -> None:
        self.host.team.stop()
        self.arena.close()


STARTED_BY: list[Callable[[], Process]] = [Process]
"""How the process is started."""


def start_by_forking() -> None:
    """From now on, start the emulator's process as a copy of this one. This process must have no other thread then."""
    STARTED_BY[:] = [lambda: Process(ForkedWorker)]


def stay_in_this_process() -> None:
    """From now on, launch in this process. That saves the start of another one, which may take as long as all launches
    of a judgement. A crash then ends this process, so use it only where the process can be replaced."""
    STARTED_BY[:] = [InThisProcess]


RUNNING: list[Process] = []
LAUNCHING: list[threading.RLock] = [threading.RLock()]
"""The lock of a launch, which the launches of its sanitizer share."""


def one_at_a_time() -> threading.RLock:
    """A context in which no other thread launches: the emulator's process has one arena, and answers in turn."""
    return LAUNCHING[0]


def unlock() -> None:
    """In a copy of this process (os.fork), which has only the thread that made it: no other thread launches."""
    LAUNCHING[:] = [threading.RLock()]


if sys.platform != "win32":  # no such copies there
    os.register_at_fork(after_in_child=unlock)


def emulator_process() -> Process:
    """The process that is kept for launches; a new one if none is running."""
    if RUNNING and not RUNNING[0].running:
        stop_process()
    if not RUNNING:
        RUNNING.append(STARTED_BY[0]())
    return RUNNING[0]


@contextlib.contextmanager
def much_memory() -> Iterator[None]:
    """For launches with large arrays: the memory that they take is free afterwards."""
    kept = RUNNING[:] if STARTED_BY[0] is InThisProcess else []
    RUNNING[:] = [process for process in RUNNING if process not in kept]
    try:
        yield
    finally:
        if STARTED_BY[0] is InThisProcess:
            stop_process()
            RUNNING.extend(kept)
        elif RUNNING:  # the start of another process takes longer than to free the pages
            RUNNING[0].arena.clear()


@atexit.register
def stop_process() -> None:
    """End the emulator's process; the next launch starts another."""
    while RUNNING:
        RUNNING.pop().stop()


def describe_crash(request: LaunchRequest, status: int) -> str:
    """What is known about a process that died: the signal, and where its PTX was saved."""
    cause = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    with tempfile.NamedTemporaryFile("w", prefix=f"{request.entry}-", suffix=".ptx", delete=False) as file:
        file.write(request.ptx)
    path = Path(file.name)
    return f"The emulator's process ended with {cause} while it ran '{request.entry}'; its PTX is saved as {path}."
