"""Several candidates, judged in parallel. Each judgement has its own process, which ends with the batch."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from ptxbench.check.contained import CheckTask, judge_candidate
from ptxbench.check.findings import Judgement
from ptxbench.check.inputs import Candidate, Unread, open_candidate, unjudged

Judged = tuple[int, Candidate | Unread, Judgement]
"""The number of an input, from 0; its text; and its judgement."""


class Processes:
    """The running processes. Thread-safe."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: list[subprocess.Popen[bytes]] = []
        self.ended = False

    def add(self, process: subprocess.Popen[bytes]) -> None:
        with self.lock:
            self.known = [known for known in self.known if known.returncode is None] + [process]
        if self.ended:
            self.end()

    def end(self) -> None:
        """Kill all of them, and every one that is added later; those who wait for them clean up."""
        self.ended = True
        with self.lock:
            for process in self.known:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)


def judge_all(
    inputs: Sequence[Path | Candidate],
    task: CheckTask,
    jobs: int = 1,
    begin: Callable[[int, str], None] = lambda number, stage: None,
) -> Generator[Judged, None, None]:
    """Each judgement as soon as it is complete, at most `jobs` at a time; `begin` is called before each stage.

    A judgement does not depend on `jobs`. Closing the iterator ends the processes that still run.
    """
    processes = Processes()

    def judged(number: int) -> Judged:
        given = inputs[number]
        candidate = open_candidate(given) if isinstance(given, Path) else given
        if isinstance(candidate, Unread):
            return number, candidate, unjudged(candidate, task.pair, task.arch, task.seed)
        return number, candidate, judge_candidate(candidate, task, lambda stage: begin(number, stage), processes.add)

    pool = ThreadPoolExecutor(jobs, thread_name_prefix="judge")
    try:
        for future in as_completed([pool.submit(judged, number) for number in range(len(inputs))]):
            yield future.result()
    finally:
        processes.end()
        pool.shutdown(cancel_futures=True)
