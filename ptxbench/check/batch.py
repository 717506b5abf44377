"""Several candidates, some side by side. Each judgement has a process of its own, which ends with the batch."""

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
"""The number of an input, from 0; its text; and the judgement."""


class Processes:
    """The processes that are at work. Thread-safe."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: list[subprocess.Popen[bytes]] = []
        self.ended = False

    def add(self, process: subprocess.Popen[bytes]) -> None:
        with self.lock:
            self.known = [each for each in self.known if each.returncode is None] + [process]
        if self.ended:
            self.end()

    def end(self) -> None:
        """Kill all of them, and every one that is added later; whoever waits for them removes what they leave."""
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
    """Each judgement as soon as it is there, at most `jobs` at a time; `begin` hears of each stage.

    What a judgement says does not depend on `jobs`. Closing the iterator ends what is still at work.
    """
    processes = Processes()

    def judged(number: int) -> Judged:
        given = inputs[number]
        found = open_candidate(given) if isinstance(given, Path) else given
        if isinstance(found, Unread):
            return number, found, unjudged(found, task.pair, task.arch, task.seed)
        return number, found, judge_candidate(found, task, lambda stage: begin(number, stage), processes.add)

    pool = ThreadPoolExecutor(jobs, thread_name_prefix="judge")
    try:
        for future in as_completed([pool.submit(judged, number) for number in range(len(inputs))]):
            yield future.result()
    finally:
        processes.end()
        pool.shutdown(cancel_futures=True)
