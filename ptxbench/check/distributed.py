"""Judgements and times that are made by the workers of a Dask cluster."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from ptxbench import backends
from ptxbench.backends.base import Backend
from ptxbench.check.contained import CheckTask, judge_candidate
from ptxbench.check.findings import Judgement
from ptxbench.check.inputs import Candidate
from ptxbench.check.judgement_process import ServerProcess
from ptxbench.check.timed import Timing, with_time
from ptxbench.check.workers import Numbered
from ptxbench.dask_pool import DaskPool, open_pool
from ptxbench.pool import AHEAD, OnReport, Reporter, ignore
from ptxbench.runner import Step


class DaskWorkers:
    """The workers of a cluster; see workers.Workers. `address`: of the scheduler, or dask_pool.LOCAL; `kernels`: the
    folder of the pair."""

    def __init__(self, address: str, kernels: Path) -> None:
        self.address = address
        self.kernels = kernels
        self.lock = threading.Lock()
        self.opened = ExitStack()
        self.opened_pool: DaskPool | None = None

    @property
    def pool(self) -> DaskPool:
        """The cluster, to which this process connects when it is first needed, and again after `close`."""
        with self.lock:
            if self.opened_pool is None:
                self.opened_pool = self.opened.enter_context(open_pool(self.address, [self.kernels]))
            return self.opened_pool

    @property
    def together(self) -> int:
        return AHEAD * self.pool.size

    def open_backend(self, name: str, arch: str | None, say: Callable[[str], None]) -> Backend:
        return self.pool.open_backend(name, arch, say)

    def judge(self, candidate: Candidate, task: CheckTask) -> Judgement:
        [(_, judgement)] = self.judge_all([candidate], task)
        return judgement

    def judge_all(
        self, candidates: Iterable[Candidate], task: CheckTask, begin: OnReport = ignore, *, endless: bool = False
    ) -> Numbered:
        return self.pool.map(functools.partial(judge_on_worker, task), candidates, begin, endless=endless)

    def time_all(
        self, accepted: Sequence[tuple[Candidate, Judgement]], timing: Timing, on_report: Callable[[Step], None]
    ) -> Numbered:
        """See workers.Workers. Each is timed by one GPU, next to the pair's kernels."""
        return self.pool.map(
            functools.partial(time_on_worker, timing), accepted, lambda _, step: on_report(step), gpu=True
        )

    def close(self) -> None:
        with self.lock:
            self.opened_pool = None
            self.opened.close()


# ---- on a worker


def judge_on_worker(task: CheckTask, candidate: Candidate, report: Reporter) -> Judgement:
    """The judgement by a worker. It keeps the process from which judgements are forked for the next ones."""
    return judge_candidate(candidate, task, server_of_worker(), report)


@functools.cache
def server_of_worker() -> ServerProcess:
    return ServerProcess()


def time_on_worker(timing: Timing, task: tuple[Candidate, Judgement], report: Reporter) -> Judgement:
    """The judgement with a time, by a worker and on its GPU."""
    candidate, judgement = task
    timing_here = dataclasses.replace(timing, backend=backends.open_backend("gpu"))
    return with_time(judgement, candidate, timing_here, report)
