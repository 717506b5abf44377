"""The process of one judgement: limits itself, then judges. `python -m ptxbench.check.worker`, the task on stdin."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptxbench import containment

MOST_FILE = 4 << 30
"""Bytes of a written file; the memory shared with the emulator's process is one too."""


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


def main(task: Mapping[str, Any], orders: Any, answers: Any) -> None:
    """Judge, and report each stage and the judgement, or an error that is not the candidate's.

    Before the stages that need the pair's own kernels, wait for a line of `orders`: the parent compiles them first.
    """
    from ptxbench.check.findings import PAIR_NEEDED, to_document
    from ptxbench.check.stages import Checker, CheckOptions
    from ptxbench.check.suite import CheckSuite
    from ptxbench.discovery import load
    from ptxbench.errors import PtxbenchError

    def tell(**event: Any) -> None:
        answers.write(json.dumps(event).encode() + b"\n")
        answers.flush()

    def begin(stage: str) -> None:
        tell(begin=stage)
        if stage == PAIR_NEEDED:
            orders.readline()

    path = Path(task["path"])
    try:
        suite = CheckSuite(load(Path(task["kernels"]), task["pair"]), task["arch"], task["seed"])
        judgement = Checker(suite, path, CheckOptions(**task["settings"])).judge(
            begin,
            lambda result, found: tell(
                done=dataclasses.asdict(result), findings=[dataclasses.asdict(each) for each in found]
            ),
        )
        tell(judgement=to_document(judgement))
    except PtxbenchError as error:
        tell(error=type(error).__name__, message=str(error))
    except MemoryError:
        tell(ended="memory-limit")


if __name__ == "__main__":
    given = json.loads(sys.stdin.buffer.readline())
    limit(given["limits"]["seconds"], given["limits"]["memory_bytes"])
    confine([Path(each) for each in given["writable"]])  # before any other thread exists, which would not be confined
    from ptxbench.runner.worker import follow

    threading.Thread(target=follow, args=(os.getppid(),), daemon=True).start()
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries must not mix with the answers
    main(given, sys.stdin.buffer, output)
