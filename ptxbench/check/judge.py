"""The judge of one pair: the same stages, verdicts and containment for the command and for programs."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from ptxbench import keywords
from ptxbench.check.findings import Judgement
from ptxbench.check.inputs import Candidate, UnreadableInput, open_candidate, read, unjudged
from ptxbench.check.request import new_seed, request
from ptxbench.check.workers import LocalWorkers, Workers
from ptxbench.discovery import SUFFIXES, chosen_kernels
from ptxbench.errors import UsageError
from ptxbench.pool import in_order
from ptxbench.runner import Step

Text = str | bytes | os.PathLike[str]
"""A kernel: its text, or the path of a .ptx or .cu file."""

Language = Literal["ptx", "cuda"]

JudgedCandidate = tuple[int, Candidate | UnreadableInput, Judgement]
"""The number of an input, counted from 0; its text; and its judgement."""

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
    dask: str | None
    say: Callable[[str], None]


def judge(text: Text, pair: str, language: Language = "ptx", **options: Unpack[JudgeOptions]) -> Judgement:
    """The judgement on one kernel as a variant of a pair. `text` and `language`: as in `Judge.judge`; `options`: those
    of `Judge`.

    Each call starts a judge and ends it, which takes a second or more: for several kernels take `judge_many` or a
    `Judge`. Raises UsageError, PairError and ToolMissing; a wrong kernel raises nothing.
    """
    with Judge(pair, **options) as pair_judge:
        return pair_judge.judge(text, language)


def judge_many(
    texts: Iterable[Text], pair: str, language: Language = "ptx", **options: Unpack[JudgeOptions]
) -> Generator[Judgement, None, None]:
    """The judgements on kernels as variants of one pair, in the order of the texts, as `Judge.judge_many` gives them.

    One judge judges all of them, with one seed, and ends with the iterator. Raises the errors of `judge`; those about
    the options are raised by the call itself, before the first judgement.
    """

    def judgements(pair_judge: Judge) -> Generator[Judgement, None, None]:
        with pair_judge:
            yield from pair_judge.judge_many(texts, language)

    return judgements(Judge(pair, **options))


class Judge:
    """Judges kernels as variants of one pair, as `ptxbench check` does; the arguments are its options.

    `kernels`: the folder of the pair, by default that of PTXBENCH_KERNELS, else the pairs of ptxbench; its pair file is
    executed. `seed`: of the data and the hidden sizes of all its judgements; by default a new one, which no candidate
    can know. `jobs`: how many kernels are judged in parallel, each with up to `memory_gib`. `dask`: the address of a
    Dask cluster whose workers judge, or "local" for new processes of this machine. `backend`: with "auto", accepted
    kernels are timed on a GPU if there is one.

    Kernels are not trusted: each is judged in a contained process of its own, which is forked from one that has loaded
    the pair. Use the judge as a context manager, or call `close`, which ends its processes. Thread-safe.

    Raises UsageError, PairError and ToolMissing before anything is judged; with `dask` also MachineError, if the
    cluster cannot be used or is lost.
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
        dask: str | None = None,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        jobs = keywords.whole("jobs", jobs, 1)
        if dask is not None and jobs > 1:
            raise UsageError(f"jobs is {jobs}; with dask each worker judges one kernel. Leave out one of them.")
        folder = chosen_kernels(kernels)
        self.workers = workers(dask, folder, jobs)
        try:
            self.task, self.timing = request(
                pair,
                folder,
                partial(self.workers.open_backend, backend, arch, say),
                arch=arch,
                seed=seed,
                flags=flags,
                targets=targets,
                max_loop_iterations=max_loop_iterations,
                timeout=timeout,
                memory_gib=memory_gib,
                sizes=keywords.sizes("sizes", sizes),
                rounds=rounds,
                thorough=thorough,
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End its processes, and judgements that still run. The next judgement starts them again."""
        self.workers.close()

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
        [(_, _, judgement)] = self.timed([(0, candidate, self.workers.judge(candidate, self.task))])
        return judgement

    def judge_many(self, texts: Iterable[Text], language: Language = "ptx") -> Generator[Judgement, None, None]:
        """The judgements in the order of the texts, several at a time. `texts` may be endless: few are taken ahead.

        With a GPU some kernels are judged, and then those that are accepted are timed, so that no judgement disturbs a
        time: one at a time on this machine, two per worker of a cluster. If `texts` raises an error, it is raised after
        the judgements on the texts before.
        """
        failures: list[Exception] = []

        def candidates() -> Iterator[Candidate]:
            try:
                for text in texts:
                    yield candidate_of(text, language)
            except Exception as error:
                failures.append(error)

        if self.timing is None:
            with closing(self.workers.judge_all(candidates(), self.task, endless=True)) as results:
                yield from in_order(results)
        else:
            remaining = candidates()
            while batch := list(itertools.islice(remaining, self.workers.together)):
                yield from in_order((number, judgement) for number, _, judgement in self.timed(self.judge_all(batch)))
        for failure in failures:
            raise failure

    def judge_all(
        self, inputs: Iterable[Path | Candidate], begin: Callable[[int, str], None] = lambda number, stage: None
    ) -> Generator[JudgedCandidate, None, None]:
        """Each judgement with the number and the text of its input, as soon as it is complete; without times. A file
        that cannot be read gets a judgement too. `begin` is called before each stage, with the number of the input."""
        candidates: dict[int, Candidate] = {}
        for number, one_input in enumerate(inputs):
            candidate = open_candidate(one_input) if isinstance(one_input, Path) else one_input
            if isinstance(candidate, UnreadableInput):
                yield number, candidate, unjudged(candidate, self.task.pair, self.task.arch, self.task.seed)
            else:
                candidates[number] = candidate
        numbers = list(candidates)

        def on_stage(index: int, stage: str) -> None:
            begin(numbers[index], stage)

        with closing(self.workers.judge_all(candidates.values(), self.task, on_stage)) as results:
            for index, judgement in results:
                yield numbers[index], candidates[numbers[index]], judgement

    def timed(
        self, judged: Iterable[JudgedCandidate], on_report: Callable[[Step], None] = lambda step: None
    ) -> Generator[JudgedCandidate, None, None]:
        """The judgements in `judged`, with times if this judge has a GPU. Then all are judged before the first is
        timed, so that no judgement disturbs a time, and those that are not accepted come first."""
        if self.timing is None:
            yield from judged
            return
        accepted: list[tuple[int, Candidate, Judgement]] = []
        for number, text, judgement in judged:
            if isinstance(text, Candidate) and judgement.accepted:
                accepted.append((number, text, judgement))
            else:
                yield number, text, judgement
        tasks = [(text, judgement) for _, text, judgement in accepted]
        with closing(self.workers.time_all(tasks, self.timing, on_report)) as results:
            for index, judgement in results:
                yield accepted[index][0], accepted[index][1], judgement


def workers(dask: str | None, kernels: Path, jobs: int) -> Workers:
    if dask is None:
        return LocalWorkers(jobs)
    from ptxbench.check.distributed import DaskWorkers

    return DaskWorkers(dask, kernels)


def candidate_of(text: Text, language: str) -> Candidate:
    if isinstance(text, os.PathLike):
        return read(Path(text))
    if keywords.text("language", language) not in SUFFIXES:
        raise UsageError(f"unknown language '{language}'; expected ptx or cuda.")
    if not isinstance(text, str | bytes):
        raise UsageError(f"A kernel is a text, or the path of a file; found {type(text).__name__}.")
    return Candidate(NAME, language, text.encode() if isinstance(text, str) else text)
