"""A judgement in its own process, with limits of time and memory; everything that the candidate does ends with it.

The process gets its task as JSON and answers in JSON, one event per line. So even a process that a candidate has
taken over can only lie about itself; it cannot run anything here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptxbench import cache, errors
from ptxbench.check.candidate_cache import layer, tidy
from ptxbench.check.findings import (
    PAIR_NEEDED,
    STAGES,
    Finding,
    Judgement,
    StageResult,
    finding,
    from_document,
    verdict_of,
)
from ptxbench.check.inputs import Candidate, read
from ptxbench.check.stages import CheckOptions
from ptxbench.check.warming import warm
from ptxbench.discovery import SUFFIXES
from ptxbench.errors import PtxbenchError
from ptxbench.toolchain import sha256

MOST_ANSWER = 16 << 20
"""The most bytes that the process may answer."""

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

    def to_json(self, path: Path, writable: Sequence[Path]) -> str:
        """For the process, with the path of the candidate's text and the folders that it can write to."""
        own = {"kernels": str(self.kernels.absolute()), "path": str(path), "writable": [*map(str, writable)]}
        return json.dumps({**dataclasses.asdict(self), **own})


Started = Callable[[subprocess.Popen[bytes]], None]


def judge(candidate: Path, task: CheckTask, begin: Callable[[str], None] = lambda stage: None) -> Judgement:
    """Judge a file; `begin` is called before each stage.

    Raises UsageError for a file that cannot be read, and errors of the pair and the tools; never one of the candidate.
    """
    return judge_candidate(read(candidate), task, begin)


def judge_candidate(
    candidate: Candidate,
    task: CheckTask,
    begin: Callable[[str], None] = lambda stage: None,
    started: Started = lambda process: None,
) -> Judgement:
    """Judge a text; `started` gets the process, which may be killed."""
    own = layer(sha256(candidate.content))
    with tempfile.TemporaryDirectory(prefix="ptxbench-check-") as folder:
        alone = Path(folder) / "candidate"  # no other files here, which a compiler could be made to read
        alone.mkdir()
        path = alone / f"candidate{SUFFIXES[candidate.language]}"
        path.write_bytes(candidate.content)
        try:
            judgement = from_process(path, candidate, task, Path(folder), own, begin, started)
        finally:
            if own:
                tidy(own)
        return dataclasses.replace(judgement, file=candidate.file)


def from_process(
    path: Path,
    candidate: Candidate,
    task: CheckTask,
    folder: Path,
    own: Path | None,
    begin: Callable[[str], None],
    started: Started,
) -> Judgement:
    """Start a process and return its judgement; if it ends without one, a judgement about its end.

    It can write to `folder`, and to `own`, the candidate's part of the cache.
    """
    errors_file = folder / "errors"
    with errors_file.open("wb") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ptxbench.check.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            cwd=path.parent,
            env=environment(folder, own),
            start_new_session=True,  # its child processes end with it
        )
    started(process)
    stages: list[StageResult] = []
    findings: list[Finding] = []
    current = next(iter(STAGES))
    ending = "crashed"
    try:
        for event in events(process, task.to_json(path, [folder, *([own] if own else [])]), task.limits.seconds):
            if "begin" in event:
                current = event["begin"]
                begin(current)
                if current == PAIR_NEEDED:
                    warm(task.pair, task.kernels, task.arch, task.settings.targets, started)
                    go_on(process)
            elif "done" in event:
                stages.append(StageResult(**event["done"]))
                findings += [Finding(**document) for document in event["findings"]]
            elif "judgement" in event:
                return from_document(event["judgement"])
            elif "error" in event:
                raise own_error(event["error"], event["message"])
            elif "ended" in event:
                ending = event["ended"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)  # its own exit status says more than a kill
    except TimeoutError:
        ending = "time-limit"
    finally:
        end(process)
    if ending == "crashed" and process.returncode > 0:  # an exception of ptxbench
        ending = "judge-failed"
    findings.append(finding(current, ending, endings(ending, process.returncode, task.limits, errors_file)))
    stages.append(StageResult(current, verdict_of(findings[-1:]), "ended", 0.0))
    return Judgement(
        file=path.name,
        sha256=sha256(candidate.content),
        language=candidate.language,
        pair=task.pair,
        arch=task.arch,
        seed=task.seed,
        stages=tuple(stages),
        findings=tuple(findings),
    )


def events(process: subprocess.Popen[bytes], task: str, seconds: float) -> Iterator[Mapping[str, Any]]:
    """The events of the process, until it ends. Raises TimeoutError after `seconds`."""
    assert process.stdin is not None
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    try:
        process.stdin.write(task.encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return
    waiting = selectors.DefaultSelector()
    waiting.register(process.stdout, selectors.EVENT_READ)
    pending, size = b"", 0
    while True:
        if not waiting.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        part = os.read(process.stdout.fileno(), 1 << 16)
        size += len(part)
        if not part or size > MOST_ANSWER:
            return
        *lines, pending = (pending + part).split(b"\n")
        for line in lines:
            reported = time.monotonic()
            yield json.loads(line)
            deadline += time.monotonic() - reported  # time that the parent needs is not counted


def go_on(process: subprocess.Popen[bytes]) -> None:
    """Let the process begin the stage for which it waits."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(b"\n")
        process.stdin.flush()


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all processes that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


FEW_THREADS = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "4"}
"""With a hundred cores, idle threads would otherwise need gigabytes of address space."""


NEEDED = re.compile(
    r"PATH|HOME|LANG|LC_.*|TZ|LD_LIBRARY_PATH|VIRTUAL_ENV|CONDA_PREFIX|(PYTHON|PTXBENCH|CUDA|NUMBA|COV|XDG_CACHE).*|"
    r"SYSTEM(ROOT|DRIVE)|WINDIR|COMSPEC|PATHEXT|USERPROFILE|(LOCAL)?APPDATA|PROGRAM.*",
    re.I if sys.platform == "win32" else 0,
)
"""Environment variables that the process gets; others may contain secrets."""


def environment(folder: Path, layer: Path | None = None) -> dict[str, str]:
    """The environment that Python and the tools need. Temporary files go to `folder`, which is removed; the cache
    stays the same although the working folder differs; new entries go to the candidate's `layer`."""
    kept = cache.folder()
    own = {"TMPDIR": str(folder), **({"PTXBENCH_CACHE": str(kept.absolute())} if kept else {})}
    own |= {cache.LAYER: str(layer)} if layer else {}
    needed = {name: value for name, value in os.environ.items() if NEEDED.fullmatch(name)}
    return {**needed, **FEW_THREADS, **own}


def own_error(kind: str, message: str) -> PtxbenchError:
    """The error of ptxbench that the process reported."""
    error_class = getattr(errors, kind, None)
    known = (
        isinstance(error_class, type)
        and issubclass(error_class, PtxbenchError)
        and error_class is not errors.IncompletePair
    )
    return error_class(message) if known and error_class is not None else errors.PairError(message)


def endings(code: str, status: int, limits: ProcessLimits, errors_file: Path) -> str:
    """How a process without a judgement ended, in words."""
    if code == "time-limit":
        return f"not finished after {limits.seconds:g} s."
    if code == "memory-limit":
        return f"not finished with {limits.memory_bytes / GIB:g} GiB of memory."
    last = errors_file.read_bytes()[-2000:].decode("utf-8", "replace").strip().splitlines()[-1:]
    if status > 0:
        return f"the process ended with exit status {status}: {''.join(last)[:200]}"
    name = signal.Signals(-status).name if status else "no answer"
    return f"the process ended with {name}."
