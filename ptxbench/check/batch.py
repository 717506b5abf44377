"""Several candidates, judged in parallel, each in its own process: here, or by the workers of a pool."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from ptxbench.check.contained import CheckTask, judge_candidate
from ptxbench.check.findings import Judgement
from ptxbench.check.inputs import Candidate, Unread, open_candidate, unjudged
from ptxbench.check.judgement_process import ServerProcess
from ptxbench.pool import Pool, Tell, Threads

Judged = tuple[int, Candidate | Unread, Judgement]
"""The number of an input, from 0; its text; and its judgement."""


def judge_all(
    inputs: Sequence[Path | Candidate],
    task: CheckTask,
    server: ServerProcess,
    jobs: int = 1,
    begin: Callable[[int, str], None] = lambda number, stage: None,
) -> Generator[Judged, None, None]:
    """Each judgement as soon as it is complete, at most `jobs` at a time; `begin` is called before each stage.

    A judgement does not depend on `jobs`. Closing the iterator early closes `server`, and so ends the judgements that
    still run.
    """

    def judged(one_input: Path | Candidate, tell: Tell) -> tuple[Candidate | Unread, Judgement]:
        candidate = open_candidate(one_input) if isinstance(one_input, Path) else one_input
        if isinstance(candidate, Unread):
            return candidate, unjudged(candidate, task.pair, task.arch, task.seed)
        return candidate, judge_candidate(candidate, task, server, tell)

    with closing(Threads(jobs, stop=server.close).map(judged, inputs, begin)) as results:
        for number, (candidate, judgement) in results:
            yield number, candidate, judgement


def judge_elsewhere(
    inputs: Sequence[Path | Candidate],
    task: CheckTask,
    pool: Pool,
    begin: Callable[[int, str], None] = lambda number, stage: None,
) -> Generator[Judged, None, None]:
    """The same by the workers of `pool`, which get the texts; files are read here."""
    candidates: dict[int, Candidate] = {}
    for number, one_input in enumerate(inputs):
        candidate = open_candidate(one_input) if isinstance(one_input, Path) else one_input
        if isinstance(candidate, Unread):
            yield number, candidate, unjudged(candidate, task.pair, task.arch, task.seed)
        else:
            candidates[number] = candidate
    numbers = list(candidates)
    work = functools.partial(judge_there, task)
    with closing(pool.map(work, list(candidates.values()), lambda at, stage: begin(numbers[at], stage))) as results:
        for at, judgement in results:
            yield numbers[at], candidates[numbers[at]], judgement


def judge_there(task: CheckTask, candidate: Candidate, tell: Tell) -> Judgement:
    """The judgement by a worker, which keeps its process from which judgements are forked."""
    return judge_candidate(candidate, task, server_of_worker(), tell)


@functools.cache
def server_of_worker() -> ServerProcess:
    return ServerProcess()
