"""The process of one judgement, forked from `fork_server`: limits itself, then reads the candidate and judges it."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
import resource
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptxbench import cache, containment
from ptxbench.check.findings import PAIR_NEEDED, to_document
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import CheckSuite
from ptxbench.emulator.process import stay_in_this_process, stop_process
from ptxbench.errors import PtxbenchError

MOST_FILE = 4 << 30
"""Bytes of a written file; the memory that the emulator shares is one too."""


def limit(seconds: float, memory_bytes: int) -> None:
    """Set the limits of this process and of all that it starts."""
    processor = int(seconds * (os.cpu_count() or 1)) + 1
    wanted = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CPU: processor,
        resource.RLIMIT_FSIZE: MOST_FILE,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in wanted.items():
        _, hard = resource.getrlimit(what)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # a system without such a limit
            resource.setrlimit(what, (allowed, allowed))


def confine(writable: Sequence[Path]) -> None:
    """Allow writing only below these folders, and no network, if there is Landlock."""
    if containment.mode() == containment.LANDLOCK:
        containment.restrict(execute=[Path("/")], write=[*writable, Path(os.devnull)])


def send_event(answers: int, **event: Any) -> None:
    """Write an event."""
    whole = json.dumps(event).encode() + b"\n"
    while whole:
        whole = whole[os.write(answers, whole) :]


def main(task: Mapping[str, Any], suite: CheckSuite, orders: int, answers: int, complaints: int) -> None:
    """Limit this process, then judge `task["path"]`.

    `orders`, `answers`, `complaints`: descriptors; the last one is for standard error.
    """
    os.setsid()  # its child processes end with it
    gc.disable()  # it ends soon, and looking through its objects takes a twentieth of its time
    os.dup2(complaints, 1)  # output of libraries must not mix with the answers
    os.dup2(complaints, 2)
    folder, own = Path(task["folder"]), task["layer"]
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)  # it is removed; the judgement can write only there
    if own:
        os.environ[cache.LAYER] = own
    path = Path(task["path"])
    os.chdir(path.parent)
    if not task["separate"]:
        stay_in_this_process()
    limit(task["limits"]["seconds"], task["limits"]["memory_bytes"])
    confine([folder, *([Path(own)] if own else [])])
    judge(path, suite, CheckOptions(**task["settings"]), orders, answers)


def judge(path: Path, suite: CheckSuite, settings: CheckOptions, orders: int, answers: int) -> None:
    """Judge, and report each stage and the judgement, or an error that is not the candidate's.

    Before the stages that need the pair's own kernels, wait for a line of `orders`: they are compiled elsewhere first.
    """

    def begin(stage: str) -> None:
        send_event(answers, begin=stage)
        if stage == PAIR_NEEDED:
            os.read(orders, 1)

    def done(result: Any, findings: Any) -> None:
        send_event(
            answers, done=dataclasses.asdict(result), findings=[dataclasses.asdict(finding) for finding in findings]
        )

    try:
        judgement = Checker(suite, path, settings).judge(begin, done)
        stop_process()
        send_event(answers, judgement=to_document(judgement))
    except PtxbenchError as error:
        send_event(answers, error=type(error).__name__, message=str(error))
    except MemoryError:
        send_event(answers, ended="memory-limit")
