"""Who does the judgements of a `Judge`: processes of this machine, or the workers of a cluster (`distributed`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Protocol

from ptxbench import backends
from ptxbench.backends.base import Backend
from ptxbench.check.contained import CheckTask, judge_candidate
from ptxbench.check.findings import Judgement
from ptxbench.check.inputs import Candidate
from ptxbench.check.judgement_process import ServerProcess
from ptxbench.check.timed import Timing, with_time
from ptxbench.pool import OnReport, Reporter, Threads, ignore
from ptxbench.runner import Step

Numbered = Generator[tuple[int, Judgement], None, None]
"""Judgements with the numbers of their candidates, each as soon as it is complete."""


class Workers(Protocol):
    """Judge and time candidates. Thread-safe."""

    @property
    def together(self) -> int:
        """How many candidates are judged before those of them that are accepted are timed."""
        ...

    def open_backend(self, name: str, arch: str | None, say: Callable[[str], None]) -> Backend:
        """The backend that times accepted candidates, if it has a clock."""
        ...

    def judge(self, candidate: Candidate, task: CheckTask) -> Judgement:
        """The judgement on one candidate, without a time."""
        ...

    def judge_all(
        self, candidates: Iterable[Candidate], task: CheckTask, begin: OnReport = ignore, *, endless: bool = False
    ) -> Numbered:
        """The judgements, without times. `begin` gets the number of a candidate and the stage that begins; `endless`:
        see pool.Pool."""
        ...

    def time_all(
        self, accepted: Sequence[tuple[Candidate, Judgement]], timing: Timing, on_report: Callable[[Step], None]
    ) -> Numbered:
        """The judgements on accepted candidates, with times."""
        ...

    def close(self) -> None:
        """End what was started. It is started again when it is needed."""
        ...


class LocalWorkers:
    """Processes of this machine, `jobs` at a time, which are forked from one that has loaded the pair."""

    together = 1  # so that no judgement disturbs a time

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.server = ServerProcess()
        self.lock = threading.Lock()
        self.timing = threading.Lock()

    def open_backend(self, name: str, arch: str | None, say: Callable[[str], None]) -> Backend:
        return backends.open_backend(name, arch, say)

    def judge(self, candidate: Candidate, task: CheckTask) -> Judgement:
        return judge_candidate(candidate, task, self.running_server())

    def judge_all(
        self, candidates: Iterable[Candidate], task: CheckTask, begin: OnReport = ignore, *, endless: bool = False
    ) -> Numbered:
        """See Workers. Closing the iterator early ends the judgements that still run."""
        server = self.running_server()

        def judged(candidate: Candidate, report: Reporter) -> Judgement:
            return judge_candidate(candidate, task, server, report)

        return Threads(self.jobs, stop=server.close).map(judged, candidates, begin, endless=endless)

    def time_all(
        self, accepted: Sequence[tuple[Candidate, Judgement]], timing: Timing, on_report: Callable[[Step], None]
    ) -> Numbered:
        for number, (candidate, judgement) in enumerate(accepted):
            with self.timing:  # one at a time, whatever threads use this judge
                timed = with_time(judgement, candidate, timing, on_report)
            yield number, timed

    def close(self) -> None:
        self.server.close()

    def running_server(self) -> ServerProcess:
        """The process from which judgements are forked; a new one after `close`."""
        with self.lock:
            if self.server.closed:
                self.server = ServerProcess()
            return self.server
