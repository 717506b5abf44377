"""A judgement in its own process, with limits of time and memory; everything that the candidate does ends with it.

The process is forked from one that has loaded everything and has seen no candidate (`fork_server`).

The process gets its task as JSON and answers in JSON, one event per line. So even a process that a candidate has
taken over can only lie about itself; it cannot run anything here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ptxbench import errors
from ptxbench.check.answers import InvalidAnswer
from ptxbench.check.candidate_cache import layer, tidy
from ptxbench.check.findings import (
    FIRST_LAUNCHES,
    PAIR_NEEDED,
    STAGES,
    Finding,
    Judgement,
    StageResult,
    finding,
    verdict_of,
)
from ptxbench.check.inputs import Candidate, read
from ptxbench.check.judged import key_of
from ptxbench.check.judgement_process import JudgementProcess, ServerLost, ServerProcess
from ptxbench.check.ranking import TIME
from ptxbench.check.stages import CheckOptions
from ptxbench.discovery import SUFFIXES
from ptxbench.errors import PtxbenchError
from ptxbench.toolchain import sha256

if sys.platform != "win32":
    import resource

ATTEMPTS = 3
"""How often a judgement is begun if its process, or the one that it is forked from, is ended by other programs."""

MOST_ENDED = 2
"""How often the process of a judgement may be ended so. After that, the candidate may be the cause: it may use too much
memory."""

GIB = 1 << 30


@dataclass(frozen=True)
class ProcessLimits:
    """Seconds of the whole judgement, and bytes of address space of each of its processes."""

    seconds: float = 120.0
    memory_bytes: int = 6 * GIB


@dataclass(frozen=True)
class CheckTask:
    """What to judge, against which pair, and how."""

    pair: str
    kernels: Path
    arch: str
    seed: int
    settings: CheckOptions = field(default_factory=CheckOptions)
    limits: ProcessLimits = field(default_factory=ProcessLimits)

    def to_json(self, path: Path, folder: Path, cache_layer: Path | None, *, separate: bool = False) -> str:
        """The task as the process gets it. `path`: of the candidate's text; `folder` and `cache_layer`: the folders
        that the process can write to, for temporary files and for the candidate's part of the cache; `separate`:
        whether the emulator has its own process."""
        paths = {"kernels": str(self.kernels.absolute()), "path": str(path), "folder": str(folder)}
        return json.dumps(
            {
                **dataclasses.asdict(self),
                **paths,
                "layer": str(cache_layer) if cache_layer else None,
                "separate": separate,
            }
        )


Started = Callable[[JudgementProcess], None]


class EndedByOthers(Exception):
    """Another program has ended the process of the judgement. `judgement`: the one if this is the candidate's fault."""

    def __init__(self, judgement: Judgement) -> None:
        self.judgement = judgement


class EndedWithEmulator(Exception):
    """The process of the judgement has ended, perhaps because the emulator did, or needs too much memory for both; or
    what it says may be the kernel's words, because the kernel has run in it."""


def judge(candidate: Path, task: CheckTask, begin: Callable[[str], None] = lambda stage: None) -> Judgement:
    """Judge one file; `begin` is called before each stage.

    Raises UsageError for a file that cannot be read, and errors of the pair and the tools; never one of the candidate.
    """
    text = read(candidate)
    with contextlib.closing(ServerProcess()) as server:
        return judge_candidate(text, task, server, begin)


def judge_candidate(
    candidate: Candidate,
    task: CheckTask,
    server: ServerProcess,
    begin: Callable[[str], None] = lambda stage: None,
    started: Started = lambda process: None,
) -> Judgement:
    """Judge a text in a process that is forked from `server`; `started` gets that process, which may be killed.

    A text that `server` has judged for the same task before gets the same judgement, without a process.
    """
    key = key_of(candidate, task)
    if (earlier := server.judgements.get(key)) is not None:
        for stage in earlier.stages:
            begin(stage.stage)
        return dataclasses.replace(earlier, file=candidate.file)
    cache_layer = layer(sha256(candidate.content))
    with tempfile.TemporaryDirectory(prefix="ptxbench-check-") as folder:
        candidate_folder = (
            Path(folder) / "candidate"
        )  # without other files, which a candidate could make a compiler read
        candidate_folder.mkdir()
        path = candidate_folder / f"candidate{SUFFIXES[candidate.language]}"
        path.write_bytes(candidate.content)
        try:
            judgement = judge_with_retries(path, candidate, task, server, Path(folder), cache_layer, begin, started)
        finally:
            if cache_layer:
                tidy(cache_layer)
        judgement = by_limit_of_shell(judgement, candidate, task)
        server.judgements.add(key, judgement)
        return dataclasses.replace(judgement, file=candidate.file)


def judge_with_retries(
    path: Path,
    candidate: Candidate,
    task: CheckTask,
    server: ServerProcess,
    folder: Path,
    cache_layer: Path | None,
    begin: Callable[[str], None],
    started: Started,
) -> Judgement:
    """The judgement. It is begun again if other programs, such as the kernel when memory runs out, end its process or
    the server. If its process is ended a second time, the candidate is rejected; if the server always ends, there is
    no verdict.

    At first the emulator runs in the process of the judgement, which saves the start of another process. If the
    process ends without a judgement, the next one starts the emulator as a process of its own.
    """
    ended, separate = 0, False
    for attempt in range(ATTEMPTS + 1):
        with (folder / f"errors-{attempt}").open("w+b") as complaints:
            try:
                document = task.to_json(path, folder, cache_layer, separate=separate)
                process = server.start(document, complaints, task.limits.seconds)
                return from_process(process, candidate, task, complaints, begin, started, separate=separate)
            except EndedWithEmulator:
                separate = True
            except ServerLost as lost:
                reason = str(lost)
            except EndedByOthers as end:
                ended += 1
                if ended == MOST_ENDED:
                    return end.judgement
                reason = "a judgement's process was ended too"
    words = f"the process from which judgements are forked cannot run: {reason}."
    return ended_early(candidate, task, next(iter(STAGES)), "judge-failed", words)


def from_process(
    process: JudgementProcess,
    candidate: Candidate,
    task: CheckTask,
    complaints: IO[bytes],
    begin: Callable[[str], None],
    started: Started,
    *,
    separate: bool,
) -> Judgement:
    """The judgement of a process; if it ends without one, a judgement about its end. `separate`: whether the emulator
    had its own process. Raises EndedByOthers, EndedWithEmulator."""
    started(process)
    stages: list[StageResult] = []
    findings: list[Finding] = []
    current = next(iter(STAGES))
    ending, status, by_others, by_itself, invalid = "crashed", 0, False, True, ""
    # Decided here, not in the process: a kernel that runs there could report that it was never launched.
    has_begun_more, has_launched = candidate.language != "ptx", False
    try:
        for answer in process.events():
            if answer.begin is not None:
                current = answer.begin
                has_begun_more |= current != next(iter(STAGES))
                has_launched |= current in LAUNCHING
                begin(current)
                if current == PAIR_NEEDED:
                    process.go_on()
            elif answer.done is not None:
                stages.append(answer.done)
                findings += answer.findings
            elif answer.judgement is not None:
                if answer.reads_on and not has_begun_more:
                    process.free()
                return about(candidate, task, answer.judgement)
            elif answer.error is not None:
                if has_launched and not separate:
                    raise EndedWithEmulator
                raise reported_error(answer.error, answer.message)
            elif answer.ended is not None:
                ending = answer.ended
        status = process.status()
        by_others = process.ended_by_others(status)
        by_itself = not (by_others or process.ended_here)
    except TimeoutError:
        ending = "time-limit"
    except InvalidAnswer as error:
        ending, invalid = "judge-failed", f"its process gave an invalid answer: {error}"
    finally:
        process.close()
    if ending == "crashed" and status > 0:  # an exception of ptxbench
        ending = "judge-failed"
    may_be_emulator = ending == "memory-limit" or (ending == "crashed" and status < 0) or invalid
    if may_be_emulator and by_itself and not separate and has_launched:
        raise EndedWithEmulator
    words = invalid or ending_words(ending, status, task.limits, complaints)
    judgement = ended_early(candidate, task, current, ending, words, stages, findings)
    if ending == "crashed" and by_others:
        raise EndedByOthers(judgement)
    return judgement


LAUNCHING = tuple(itertools.dropwhile(lambda stage: stage != FIRST_LAUNCHES, STAGES))
"""The stages in or before which the candidate's kernel has run."""


def subject(candidate: Candidate, task: CheckTask) -> dict[str, Any]:
    """The fields of a judgement that say what it is about."""
    return {
        "file": candidate.file,
        "sha256": sha256(candidate.content),
        "language": candidate.language,
        "pair": task.pair,
        "arch": task.arch,
        "seed": task.seed,
    }


def about(candidate: Candidate, task: CheckTask, judgement: Judgement) -> Judgement:
    """The judgement of this candidate, whatever its process says that it is about; the process times nothing."""
    return dataclasses.replace(
        judgement,
        **subject(candidate, task),
        stages=tuple(judgement.stages),
        findings=tuple(judgement.findings),
        ratios={
            variant: {name: value for name, value in row.items() if name != TIME}
            for variant, row in judgement.ratios.items()
        },
        notes=tuple(judgement.notes),
        timed_on=None,
    )


def ended_early(
    candidate: Candidate,
    task: CheckTask,
    stage: str,
    code: str,
    words: str,
    stages: Sequence[StageResult] = (),
    findings: Sequence[Finding] = (),
) -> Judgement:
    """The judgement of a process that has ended in this stage without one; `words`: how."""
    last = finding(stage, code, words)
    return Judgement(
        **subject(candidate, task),
        stages=(*stages, StageResult(stage, verdict_of((last,)), "ended", 0.0)),
        findings=(*findings, last),
    )


def by_limit_of_shell(judgement: Judgement, candidate: Candidate, task: CheckTask) -> Judgement:
    """The judgement; but a lack of memory says nothing about the candidate if this process may not have as much as
    --memory."""
    if sys.platform == "win32":
        return judgement
    _, allowed = resource.getrlimit(resource.RLIMIT_AS)
    lacking = [found for found in judgement.findings if found.code == "memory-limit"]
    if not lacking or allowed == resource.RLIM_INFINITY or allowed >= task.limits.memory_bytes:
        return judgement
    words = (
        f"not finished with the {allowed / GIB:.3g} GiB of address space that the shell allows (ulimit -v); --memory "
        f"is {task.limits.memory_bytes / GIB:g} GiB."
    )
    stages = [stage for stage in judgement.stages if stage.stage != lacking[0].stage]
    findings = [found for found in judgement.findings if found.code != "memory-limit"]
    return ended_early(candidate, task, lacking[0].stage, "shell-limit", words, stages, findings)


def reported_error(kind: str, message: str) -> PtxbenchError:
    """The error of ptxbench that the process reported."""
    error_class = getattr(errors, kind, None)
    is_reported_class = (
        isinstance(error_class, type)
        and issubclass(error_class, PtxbenchError)
        and error_class is not errors.IncompletePair
    )
    return error_class(message) if is_reported_class and error_class is not None else errors.PairError(message)


def ending_words(code: str, status: int, limits: ProcessLimits, complaints: IO[bytes]) -> str:
    """How a process without a judgement ended, in words."""
    if code == "time-limit":
        return f"not finished after {limits.seconds:g} s."
    if code == "memory-limit":
        return f"not finished with {limits.memory_bytes / GIB:g} GiB of memory."
    complaints.seek(0)
    last = complaints.read()[-2000:].decode("utf-8", "replace").strip().splitlines()[-1:]
    if status > 0:
        return f"the process ended with exit status {status}: {''.join(last)[:200]}"
    name = signal.Signals(-status).name if status else "no answer"
    return f"the process ended with {name}."
