"""Several candidates, judged in parallel, each in its own process, which ends with the batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from ptxbench.check.contained import CheckTask, judge_candidate
from ptxbench.check.findings import Judgement
from ptxbench.check.inputs import Candidate, Unread, open_candidate, unjudged
from ptxbench.check.judgement_process import ServerProcess

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

    def judged(number: int) -> Judged:
        given = inputs[number]
        candidate = open_candidate(given) if isinstance(given, Path) else given
        if isinstance(candidate, Unread):
            return number, candidate, unjudged(candidate, task.pair, task.arch, task.seed)
        return number, candidate, judge_candidate(candidate, task, server, functools.partial(begin, number))

    pool = ThreadPoolExecutor(jobs, thread_name_prefix="judge")
    complete = False
    try:
        for future in as_completed([pool.submit(judged, number) for number in range(len(inputs))]):
            yield future.result()
        complete = True
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        if not complete:
            server.close()
        pool.shutdown()
