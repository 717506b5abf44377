"""The process from which judgements are forked. It has loaded the modules, the pair, its data and its own kernels'
results, so that a judgement starts in milliseconds; it never reads a candidate's text.

`python -m ptxbench.check.fork_server HANDLE`: HANDLE is the descriptor of a socket that gets tasks, `CheckTask.to_json`
(task_channel.py). Each task comes with four descriptors: the judgement's orders, its answers, its standard error, and
its connection, a socket to the process that wants the judgement. On the connection this process reports the start and
the end of the judgement's process, as JSON, one event per line, and receives the orders of judgement_process.py. When
the other end of the connection is closed, the judgement's processes are ended. After the order FREE its process waits
for another task instead.
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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.ma  # noqa: F401  for the copies: numpy.unique imports it

from ptxbench import cache
from ptxbench.check import huge_pages, task_channel, worker
from ptxbench.check.judgement_process import END, FREE, NEED
from ptxbench.check.pair_files import State, hash_of_files, states_of, states_of_headers
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
"""The most pairs (with architecture and seed) that are kept loaded. The one that was used longest ago is dropped
first."""

MOST_SEEDS = 2
"""The most seeds of one pair that are kept. A service draws a new one after each verdict; only the candidates that were
submitted before still need the last one."""

END_SECONDS = 5.0
"""How long a process may take to end by itself."""

FORKS_BETWEEN = 50
"""After this many judgements the memory is put into huge pages again: what was written in the meantime is not in
them."""

FREE_SECONDS = 5.0
"""How long processes that wait for a task are kept while no task comes."""

POLL_SECONDS = 0.005
"""Between two checks whether a process that was asked to end has ended."""


@dataclass
class JudgingProcess:
    """A process that judges. `task`: the one for which it was forked; `channel`: for further tasks."""

    task: Mapping[str, Any]
    fork: Fork
    channel: socket.socket

    def suits(self, task: Mapping[str, Any]) -> bool:
        """Whether it can take another task: its limits, and where the emulator runs, cannot be changed."""
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
    """A loaded pair. `needed`: whether a candidate has reached a stage that needs the pair's own kernels. `headers`:
    the states of headers in other folders than the pair's, when it was loaded.

    `warm_result`: of `warm`, None before it; `prepare_tried`: whether `prepare` was tried.
    """

    suite: CheckSuite
    settings: CheckOptions
    headers: Mapping[Path, State] = field(default_factory=dict)
    needed: bool = False
    warm_result: bool | None = None
    prepare_tried: bool = False
    free: list[JudgingProcess] = field(default_factory=list)
    """Processes that have only read texts, and wait for a task."""

    def has_changed(self) -> bool:
        """Whether a header in another folder than the pair's has changed since it was loaded."""
        return states_of(self.headers) != self.headers

    def warm(self) -> bool:
        if self.warm_result is None:
            self.warm_result = warm(self.suite, self.settings)
        return self.warm_result

    def prepare(self) -> None:
        if not self.prepare_tried:
            self.prepare_tried = True
            self.end_free()  # they lack what is prepared here
            if self.warm():
                prepare(self.suite, self.settings)

    def end_free(self) -> None:
        for waiting in self.free:
            waiting.end()
        self.free.clear()


@dataclass
class RunningJudgement:
    """A judgement in its process. `kill_at`: when the process is killed, if it was asked to end."""

    process: JudgingProcess
    task: Mapping[str, Any]
    pair: PreparedPair
    kill_at: float | None = None


class ForkServer:
    """The loop of the process: it receives tasks from `control`, and orders from the connection of each judgement."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.pairs: OrderedDict[tuple[Any, ...], PreparedPair] = OrderedDict()
        self.running: dict[socket.socket, RunningJudgement] = {}
        self.forks = 0
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ)

    def serve(self) -> None:
        """Serve until the other end of `control` is closed."""
        while True:
            ending = [connection for connection, running in self.running.items() if running.kill_at is not None]
            readable = self.selector.select(POLL_SECONDS if ending else FREE_SECONDS)
            if not readable and not ending:
                self.end_free()
            for selected, _ in readable:
                if selected.fileobj is self.control:
                    if not self.take_task():
                        return
                elif isinstance(selected.fileobj, socket.socket) and selected.fileobj in self.running:
                    self.take_order(selected.fileobj)
            for connection in ending:
                if connection in self.running:
                    self.report_end(connection)

    def close(self) -> None:
        for connection in list(self.running):
            self.drop(connection)
        self.end_free()

    def end_free(self) -> None:
        for pair in self.pairs.values():
            pair.end_free()

    # ---- tasks

    def take_task(self) -> bool:
        """Start the judgement of the next task; False if there are no more tasks."""
        sent = task_channel.receive(self.control)
        if sent is None or len(sent.descriptors) < task_channel.MOST_DESCRIPTORS:
            return False
        *pipes, handle = sent.descriptors
        connection = socket.socket(fileno=handle)
        try:
            self.start(SentTask(sent.task, pipes), connection)
        finally:
            for pipe in pipes:
                os.close(pipe)
        return True

    def start(self, sent: SentTask, connection: socket.socket) -> None:
        """Start a judgement. Its pair is loaded first, and prepared if an earlier candidate has needed the pair's
        kernels."""
        try:
            pair = self.pair(sent.task)
            if pair.needed and not pair.prepare_tried:
                pair.prepare()
                self.forks = 0
            process = with_task(pair.free, sent) or self.fork(pair, sent)
        except (PtxbenchError, OSError) as error:
            worker.send_error(sent.descriptors[1], error)
            connection.close()
            return
        self.running[connection] = RunningJudgement(process, sent.task, pair)
        self.selector.register(connection, selectors.EVENT_READ)
        report(connection, pid=process.fork.pid)

    def fork(self, pair: PreparedPair, sent: SentTask) -> JudgingProcess:
        join_threads()
        gc.freeze()  # the garbage collectors of the copies do not search what they share
        if self.forks % FORKS_BETWEEN == 0:
            huge_pages.collapse()
        self.forks += 1
        channel, child_end = socket.socketpair()
        with child_end:
            inherited = [*sent.descriptors, child_end.fileno()]
            return JudgingProcess(sent.task, Fork(lambda: worker.main(sent, pair.suite, child_end), inherited), channel)

    def pair(self, task: Mapping[str, Any]) -> PreparedPair:
        """The pair of a task, loaded if it is not among the last pairs or its files have changed. Raises the errors of
        loading."""
        kernels = Path(task["kernels"])
        name, arch, seed = task["pair"], task["arch"], task["seed"]
        without_seed = name, kernels, arch, json.dumps(task["settings"]), hash_of_files(name, kernels)
        pair_key = without_seed, seed
        if pair_key in self.pairs and self.pairs[pair_key].has_changed():
            self.drop_pairs([pair_key])
        if pair_key not in self.pairs:
            loaded = load(kernels, name)
            suite, settings = CheckSuite(loaded, arch, seed), CheckOptions(**task["settings"])
            self.pairs[pair_key] = PreparedPair(suite, settings, states_of_headers(loaded))
            warm_up_parsing(arch)
            self.drop_pairs([known for known in self.pairs if known[0] == without_seed][:-MOST_SEEDS])
            self.drop_pairs(list(self.pairs)[:-MOST_PAIRS])
            gc.unfreeze()  # what was loaded for a dropped pair can be freed
            gc.collect()
        self.pairs.move_to_end(pair_key)
        return self.pairs[pair_key]

    def drop_pairs(self, pair_keys: Iterable[tuple[Any, ...]]) -> None:
        for pair_key in pair_keys:
            self.pairs.pop(pair_key).end_free()

    # ---- orders

    def take_order(self, connection: socket.socket) -> None:
        """Do what the judge asks of a judgement, by one byte; anything else, such as the end of the judge, drops it."""
        order = b""
        with contextlib.suppress(ConnectionError):
            order = connection.recv(1)
        if order == NEED:
            self.make_needed(self.running[connection])
            report(connection, ready=True)
        elif order == END:
            self.running[connection].kill_at = time.monotonic() + END_SECONDS
            self.report_end(connection)
        elif order == FREE:
            running = self.running[connection]
            running.pair.free.append(running.process)
            self.forget(connection)
        else:
            self.drop(connection)

    def make_needed(self, running: RunningJudgement) -> None:
        """Make what judgements need of the pair's own kernels, in the user's cache, unless it is there."""
        running.pair.needed = True
        task = running.task
        name, kernels, targets = task["pair"], Path(task["kernels"]), task["settings"]["targets"]
        if not is_warm(name, kernels, task["arch"], targets) and running.pair.warm():
            cache.replace(key(name, kernels, task["arch"], targets), b"")

    def report_end(self, connection: socket.socket) -> None:
        """Report the exit status of a judgement's process if it has ended; kill it first if its time is over."""
        running = self.running[connection]
        assert running.kill_at is not None
        fork = running.process.fork
        alive = fork.poll() is None
        if alive and time.monotonic() < running.kill_at:
            return
        running.process.end()
        report(connection, status=fork.returncode, forced=alive)
        self.forget(connection)

    def drop(self, connection: socket.socket) -> None:
        """End a judgement whose result is no longer needed."""
        self.running[connection].process.end()
        self.forget(connection)

    def forget(self, connection: socket.socket) -> None:
        self.selector.unregister(connection)
        del self.running[connection]
        connection.close()


def with_task(free: list[JudgingProcess], sent: SentTask) -> JudgingProcess | None:
    """Take one of these processes from the list, and send it the task; None if none of them can take the task."""
    for suitable in [waiting for waiting in free if waiting.suits(sent.task)]:
        free.remove(suitable)
        with contextlib.suppress(OSError):
            if suitable.fork.poll() is None:
                task_channel.send(suitable.channel, json.dumps(sent.task).encode(), sent.descriptors)
                return suitable
        suitable.end()
    return None


def report(connection: socket.socket, **event: Any) -> None:
    with contextlib.suppress(OSError):  # the other end is closed
        connection.sendall(json.dumps(event).encode() + b"\n")


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
