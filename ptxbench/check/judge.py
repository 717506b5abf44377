"""The judge of one pair: the same stages, verdicts and containment for the command and for programs."""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from ptxbench import backends
from ptxbench.backends.base import Backend
from ptxbench.check.batch import Judged, judge_all
from ptxbench.check.contained import judge_candidate
from ptxbench.check.findings import Judgement
from ptxbench.check.inputs import Candidate, read
from ptxbench.check.judgement_process import ServerProcess
from ptxbench.check.request import new_seed, request
from ptxbench.check.timed import with_time
from ptxbench.discovery import SUFFIXES, default_kernels
from ptxbench.errors import UsageError
from ptxbench.runner import Step

Text = str | bytes | os.PathLike[str]
"""A kernel: its text, or the path of a .ptx or .cu file."""

Language = Literal["ptx", "cuda"]

AHEAD = 2
"""How many texts are taken from an iterable ahead of the oldest judgement that is not complete, per job."""

NAME = "candidate"
"""The `file` of a judgement on a text, without the suffix of its language."""


class JudgeOptions(TypedDict, total=False):
    """The options of `Judge`."""

    kernels: str | Path | None
    arch: str | None
    seed: int | None
    flags: Sequence[str]
    targets: Sequence[str]
    max_loop_iterations: int | None
    timeout: float
    memory_gib: float
    backend: Literal["auto", "gpu", "emulator"]
    sizes: Sequence[str | Mapping[str, int]]
    rounds: int
    thorough: bool
    jobs: int
    say: Callable[[str], None]


def judge(text: Text, pair: str, language: Language = "ptx", **options: Unpack[JudgeOptions]) -> Judgement:
    """The judgement on one kernel as a variant of a pair. `text` and `language`: as in `Judge.judge`; `options`: those
    of `Judge`.

    Each call starts a judge and ends it, which takes a second or more: for several kernels take `judge_many` or a
    `Judge`. Raises UsageError, PairError and ToolMissing; a wrong kernel raises nothing.
    """
    with Judge(pair, **options) as one:
        return one.judge(text, language)


def judge_many(
    texts: Iterable[Text], pair: str, language: Language = "ptx", **options: Unpack[JudgeOptions]
) -> Generator[Judgement, None, None]:
    """The judgements on kernels as variants of one pair, in the order of the texts, as `Judge.judge_many` gives them.

    One judge judges all of them, on one seed. It ends with the iterator. Raises as `judge` does; for mistakes in the
    options already when it is called.
    """

    def judgements(one: Judge) -> Generator[Judgement, None, None]:
        with one:
            yield from one.judge_many(texts, language)

    return judgements(Judge(pair, **options))


class Judge:
    """Judges kernels as variants of one pair, as `ptxbench check` does; the arguments are its options.

    `kernels`: the folder of the pair, by default that of PTXBENCH_KERNELS, else the pairs of ptxbench; its pair file is
    executed. `seed`: of the data and the hidden sizes of all its judgements; by default a new one, that no candidate
    can know. `jobs`: how many kernels are judged in parallel, each with up to `memory_gib`. `backend`: with "auto",
    accepted kernels are timed on a GPU if there is one.

    Kernels are not trusted: each is judged in a process of its own, which is contained and is forked from one that has
    loaded the pair. Use it as a context, or call `close`: then its processes end. Thread-safe.

    Raises UsageError, PairError and ToolMissing before anything is judged.
    """

    def __init__(
        self,
        pair: str,
        *,
        kernels: str | Path | None = None,
        arch: str | None = None,
        seed: int | None = None,
        flags: Sequence[str] = (),
        targets: Sequence[str] = (),
        max_loop_iterations: int | None = None,
        timeout: float = 120.0,
        memory_gib: float = 6.0,
        backend: Literal["auto", "gpu", "emulator"] = "auto",
        sizes: Sequence[str | Mapping[str, int]] = (),
        rounds: int = 5,
        thorough: bool = False,
        jobs: int = 1,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        chosen = kernels or os.environ.get("PTXBENCH_KERNELS")
        self.task, self.timing = request(
            pair,
            Path(chosen) if chosen else default_kernels(),
            partial(self.open_backend, backend, arch, say),
            arch=arch,
            seed=seed,
            flags=flags,
            targets=targets,
            max_loop_iterations=max_loop_iterations,
            timeout=timeout,
            memory_gib=memory_gib,
            sizes=[size if isinstance(size, str) else ",".join(f"{k}={v}" for k, v in size.items()) for size in sizes],
            rounds=rounds,
            thorough=thorough,
        )
        if jobs < 1:
            raise UsageError(f"jobs is {jobs}; expected at least 1.")
        self.jobs = jobs
        self.server = ServerProcess()
        self.lock = threading.Lock()

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def open_backend(self, name: str, arch: str | None, say: Callable[[str], None]) -> Backend:
        """The backend that times accepted kernels, if it has a clock."""
        return backends.open_backend(name, arch, say)

    def close(self) -> None:
        """End its processes, and judgements that still run. The next judgement starts them again."""
        self.server.close()

    def running_server(self) -> ServerProcess:
        """The process from which judgements are forked; a new one after `close`."""
        with self.lock:
            if self.server.closed:
                self.server = ServerProcess()
            return self.server

    def renew_seed(self) -> None:
        """Draw a new seed, for the judgements that start from now on. The pair's data are made again, once."""
        seed = new_seed()
        self.task = dataclasses.replace(self.task, seed=seed)
        self.timing = self.timing and dataclasses.replace(self.timing, seed=seed)

    @property
    def seed(self) -> int:
        return self.task.seed

    def judge(self, text: Text, language: Language = "ptx") -> Judgement:
        """The judgement on one kernel: a text in this language, or a path, whose suffix says its language.

        A wrong kernel raises nothing. Raises UsageError for a file that cannot be read.
        """
        candidate = candidate_of(text, language)
        return self.time(candidate, judge_candidate(candidate, self.task, self.running_server()))

    def judge_many(self, texts: Iterable[Text], language: Language = "ptx") -> Generator[Judgement, None, None]:
        """The judgements in the order of the texts, `jobs` at a time. `texts` may be endless: few are taken ahead.

        With a GPU one kernel is judged and timed after the other, so that no judgement disturbs a time.
        """
        jobs = self.jobs if self.timing is None else 1
        waiting: deque[Future[Judgement]] = deque()
        rest = iter(texts)
        pool = ThreadPoolExecutor(jobs, thread_name_prefix="judge")
        complete = False
        try:
            while True:
                wanted = (AHEAD * jobs if jobs > 1 else 1) - len(waiting)
                for text in itertools.islice(rest, wanted):
                    waiting.append(pool.submit(self.judge, text, language))
                if not waiting:
                    break
                yield waiting.popleft().result()
            complete = True
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            if not complete:
                self.close()
            pool.shutdown()

    def judge_all(
        self, inputs: Sequence[Path | Candidate], begin: Callable[[int, str], None] = lambda number, stage: None
    ) -> Generator[Judged, None, None]:
        """Each judgement with the number and the text of its input, as soon as it is complete; a file that cannot be
        read costs only itself. Without times. `begin` is called before each stage."""
        return judge_all(inputs, self.task, self.running_server(), self.jobs, begin)

    def timed(
        self, judged: Iterable[Judged], hear: Callable[[Step], None] = lambda step: None
    ) -> Generator[Judged, None, None]:
        """The same, with times if this judge has a GPU. Then all are judged before the first is timed, so that no
        judgement disturbs a time."""
        for number, text, judgement in judged if self.timing is None else list(judged):
            timed = self.time(text, judgement, hear) if isinstance(text, Candidate) else judgement
            yield number, text, timed

    def time(
        self, candidate: Candidate, judgement: Judgement, hear: Callable[[Step], None] = lambda step: None
    ) -> Judgement:
        """The judgement with a time, if this judge has a GPU and the kernel is accepted."""
        return judgement if self.timing is None else with_time(judgement, candidate, self.timing, hear)


def candidate_of(text: Text, language: str) -> Candidate:
    if isinstance(text, os.PathLike):
        return read(Path(text))
    if language not in SUFFIXES:
        raise UsageError(f"unknown language '{language}'; expected ptx or cuda.")
    return Candidate(NAME, language, text.encode() if isinstance(text, str) else text)
