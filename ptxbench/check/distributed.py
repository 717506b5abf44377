"""The judge of one pair whose judgements and times are made by other machines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ptxbench import backends
from ptxbench.backends.base import Backend
from ptxbench.check.batch import Judged, judge_elsewhere
from ptxbench.check.findings import Judgement
from ptxbench.check.inputs import Candidate
from ptxbench.check.judge import Judge
from ptxbench.check.timed import Timing, with_time
from ptxbench.pool import GpuPool, Tell
from ptxbench.runner import Step


class Machines(GpuPool, Protocol):
    """A pool of other machines, with their backend."""

    def open_backend(self, name: str, arch: str | None, say: Callable[[str], None]) -> Backend:
        """Their backend, as backends.open_backend gives that of this machine."""
        ...


class DistributedJudge(Judge):
    """A Judge whose `judge_all` and `timed` give each candidate to one of the machines."""

    def __init__(self, pair: str, machines: Machines, **options: Any) -> None:
        self.machines = machines
        super().__init__(pair, **options)

    def open_backend(self, name: str, arch: str | None, say: Callable[[str], None]) -> Backend:
        return self.machines.open_backend(name, arch, say)

    def judge_all(
        self, inputs: Sequence[Path | Candidate], begin: Callable[[int, str], None] = lambda number, stage: None
    ) -> Generator[Judged, None, None]:
        return judge_elsewhere(inputs, self.task, self.machines, begin)

    def timed(
        self, judged: Iterable[Judged], hear: Callable[[Step], None] = lambda step: None
    ) -> Generator[Judged, None, None]:
        """See Judge. Each accepted candidate is timed by one machine, next to the pair's kernels."""
        if self.timing is None:
            yield from judged
            return
        accepted: list[tuple[int, Candidate, Judgement]] = []
        for number, text, judgement in list(judged):
            if isinstance(text, Candidate) and judgement.accepted:
                accepted.append((number, text, judgement))
            else:
                yield number, text, judgement
        tasks = [(text, judgement) for _, text, judgement in accepted]
        work = partial(time_there, self.timing)
        with closing(self.machines.map(work, tasks, lambda _, step: hear(step), gpu=True)) as results:
            for at, judgement in results:
                yield accepted[at][0], accepted[at][1], judgement


def time_there(timing: Timing, task: tuple[Candidate, Judgement], tell: Tell) -> Judgement:
    """The judgement with a time, by a worker and on its GPU."""
    candidate, judgement = task
    own = dataclasses.replace(timing, backend=backends.open_backend("gpu"))
    return with_time(judgement, candidate, own, tell)
