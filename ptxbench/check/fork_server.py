"""The process from which judgements are forked. It has loaded the modules, the pair, its data and its own kernels'
results, so that a judgement starts in milliseconds; it never reads a candidate's text.

`python -m ptxbench.check.fork_server HANDLE`: HANDLE is the descriptor of a socket that gets tasks, `CheckTask.to_json`
(task_channel.py). With each come four descriptors: the judgement's orders, its answers, its standard error, and its
line, a socket to the process that wants the judgement. On the line, this process reports the judgement's process and
its end, as JSON, one event a line; and it takes the orders of judgement_process.py. When the other end of the line is
closed, the judgement's processes are ended, unless the order before was FREE: then its process waits for another task.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptxbench import cache
from ptxbench.check import huge_pages, task_channel, worker
from ptxbench.check.judgement_process import END, FREE, NEED
from ptxbench.check.pair_files import sources
from ptxbench.check.preparation import is_warm, key, prepare, warm, warm_up_parsing
from ptxbench.check.stages import CheckOptions
from ptxbench.check.suite import CheckSuite
from ptxbench.check.task_channel import SentTask
from ptxbench.discovery import load
from ptxbench.emulator import process
from ptxbench.emulator import worker as emulator_worker  # noqa: F401  for the copies
from ptxbench.errors import PtxbenchError
from ptxbench.forks import Fork

MOST_PAIRS = 4
"""The most pairs (with architecture and seed) that are kept loaded; the one that was used longest ago goes first."""

END_SECONDS = 5.0
"""How long a process may take to end by itself."""

FORKS_BETWEEN = 50
"""After how many judgements the memory is put into huge pages again, as what was written in the meantime is not."""

FREE_SECONDS = 5.0
"""How long processes that wait for a task are kept without any."""

LOOK_SECONDS = 0.005
"""Between two looks at a process whose end is asked for."""


@dataclass
class JudgingProcess:
    """A process that judges. `task`: the one for which it was forked; `channel`: for further tasks."""

    task: Mapping[str, Any]
    fork: Fork
    channel: socket.socket

    def suits(self, task: Mapping[str, Any]) -> bool:
        """Whether it can take another task: its limits cannot be raised, and where the emulator runs is decided."""
        return all(self.task[name] == task[name] for name in ("limits", "separate"))

    def end(self) -> None:
        """End it and all processes that it has started."""
        self.channel.close()
        with contextlib.suppress(ProcessLookupError):  # it has not yet made its group, or all of it has ended
            os.killpg(self.fork.pid, signal.SIGKILL)
        self.fork.kill()
        self.fork.wait()


@dataclass
class PreparedPair:
    """A loaded pair. `needed`: whether a candidate has come so far that it needs the pair's own kernels.

    `warmed`, `done`: whether `warm` and `prepare` were tried.
    """

    suite: CheckSuite
    settings: CheckOptions
    needed: bool = False
    warmed: bool | None = None
    done: bool = False
    free: list[JudgingProcess] = field(default_factory=list)
    """Processes that have only read texts, and wait for a task."""

    def warm(self) -> bool:
        if self.warmed is None:
            self.warmed = warm(self.suite, self.settings)
        return self.warmed

    def prepare(self) -> None:
        if not self.done:
            self.done = True
            self.end_free()  # they lack what is prepared here
            if self.warm():
                prepare(self.suite, self.settings)

    def end_free(self) -> None:
        for waiting in self.free:
            waiting.end()
        self.free.clear()


@dataclass
class RunningJudgement:
    """A judgement in its process. `until`: when it is ended by force, if its end was asked for."""

    process: JudgingProcess
    task: Mapping[str, Any]
    pair: PreparedPair
    until: float | None = None


class ForkServer:
    """The loop of the process: tasks from `control`, orders from the line of each running judgement."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.pairs: OrderedDict[tuple[Any, ...], PreparedPair] = OrderedDict()
        self.running: dict[socket.socket, RunningJudgement] = {}
        self.forks = 0
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until the other end of the socket is closed."""
        while True:
            waiting = [line for line, running in self.running.items() if running.until is not None]
            readable = self.selector.select(LOOK_SECONDS if waiting else FREE_SECONDS)
            if not readable and not waiting:
                self.end_free()
            for ready, _ in readable:
                if ready.fileobj is self.control:
                    if not self.take_task():
                        return
                elif isinstance(ready.fileobj, socket.socket) and ready.fileobj in self.running:
                    self.take_order(ready.fileobj)
            for line in waiting:
                if line in self.running:
                    self.report_end(line)

    def close(self) -> None:
        for line in list(self.running):
            self.drop(line)
        self.end_free()

    def end_free(self) -> None:
        for pair in self.pairs.values():
            pair.end_free()

    # ---- tasks

    def take_task(self) -> bool:
        """Start the judgement of the next task; False at the end of the tasks."""
        sent = task_channel.receive(self.control)
        if sent is None or len(sent.descriptors) < task_channel.MOST_DESCRIPTORS:
            return False
        *pipes, handle = sent.descriptors
        line = socket.socket(fileno=handle)
        try:
            self.start(SentTask(sent.task, pipes), line)
        finally:
            for pipe in pipes:
                os.close(pipe)
        return True

    def start(self, sent: SentTask, line: socket.socket) -> None:
        """Start a judgement, with the pair loaded, and prepared if a candidate before it has needed the pair."""
        try:
            pair = self.pair(sent.task)
        except PtxbenchError as error:
            worker.send_event(sent.descriptors[1], error=type(error).__name__, message=str(error))
            line.close()
            return
        if pair.needed and not pair.done:
            pair.prepare()
            self.forks = 0
        process = with_task(pair.free, sent) or self.fork(pair, sent)
        self.running[line] = RunningJudgement(process, sent.task, pair)
        self.selector.register(line, selectors.EVENT_READ)
        report(line, pid=process.fork.pid)

    def fork(self, pair: PreparedPair, sent: SentTask) -> JudgingProcess:
        join_threads()
        gc.freeze()  # what the copies share is not looked through in each of them
        if self.forks % FORKS_BETWEEN == 0:
            huge_pages.collapse()
        self.forks += 1
        channel, theirs = socket.socketpair()
        with theirs:
            kept = [*sent.descriptors, theirs.fileno()]
            return JudgingProcess(sent.task, Fork(lambda: worker.main(sent, pair.suite, theirs), kept), channel)

    def pair(self, task: Mapping[str, Any]) -> PreparedPair:
        """The pair of a task, from the last ones unless its files have changed. Raises the errors of loading it."""
        kernels = Path(task["kernels"])
        name, arch, seed = task["pair"], task["arch"], task["seed"]
        known = name, kernels, arch, seed, json.dumps(task["settings"]), sources(name, kernels)
        if known not in self.pairs:
            suite = CheckSuite(load(kernels, name), arch, seed)
            self.pairs[known] = PreparedPair(suite, CheckOptions(**task["settings"]))
            warm_up_parsing(arch)
            while len(self.pairs) > MOST_PAIRS:
                _, pair = self.pairs.popitem(last=False)
                pair.end_free()
            gc.unfreeze()  # what was loaded for a pair that went can be freed
            gc.collect()
        self.pairs.move_to_end(known)
        return self.pairs[known]

    # ---- orders

    def take_order(self, line: socket.socket) -> None:
        order = b""
        with contextlib.suppress(ConnectionError):
            order = line.recv(1)
        if order == NEED:
            self.need(self.running[line])
            report(line, ready=True)
        elif order == END:
            self.running[line].until = time.monotonic() + END_SECONDS
            self.report_end(line)
        elif order == FREE:
            running = self.running[line]
            running.pair.free.append(running.process)
            self.forget(line)
        else:
            self.drop(line)

    def need(self, running: RunningJudgement) -> None:
        """Put what the pair's own kernels need into the user's cache, unless it is there."""
        running.pair.needed = True
        task = running.task
        name, kernels, targets = task["pair"], Path(task["kernels"]), task["settings"]["targets"]
        if not is_warm(name, kernels, task["arch"], targets) and running.pair.warm():
            cache.replace(key(name, kernels, task["arch"], targets), b"")

    def report_end(self, line: socket.socket) -> None:
        """Report the exit status of a judgement's process, if it has ended; end it if its time is over."""
        running = self.running[line]
        assert running.until is not None
        fork = running.process.fork
        alive = fork.poll() is None
        if alive and time.monotonic() < running.until:
            return
        running.process.end()
        report(line, status=fork.returncode, forced=alive)
        self.forget(line)

    def drop(self, line: socket.socket) -> None:
        """End a judgement whose result is no longer needed."""
        self.running[line].process.end()
        self.forget(line)

    def forget(self, line: socket.socket) -> None:
        self.selector.unregister(line)
        del self.running[line]
        line.close()


def with_task(free: list[JudgingProcess], sent: SentTask) -> JudgingProcess | None:
    """One of these processes, which is taken from the list and has got the task; None if none can take it."""
    for suitable in [waiting for waiting in free if waiting.suits(sent.task)]:
        free.remove(suitable)
        with contextlib.suppress(OSError):
            if suitable.fork.poll() is None:
                task_channel.send(suitable.channel, json.dumps(sent.task).encode(), sent.descriptors)
                return suitable
        suitable.end()
    return None


def report(line: socket.socket, **event: Any) -> None:
    with contextlib.suppress(OSError):  # the other end is closed
        line.sendall(json.dumps(event).encode() + b"\n")


def join_threads() -> None:
    """Wait for the threads of finished builds: a copy of this process would lack them."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()


def main(handle: int) -> None:
    os.dup2(2, 1)
    process.start_by_forking()
    server = ForkServer(socket.socket(fileno=handle))
    try:
        server.serve()
    finally:
        server.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
