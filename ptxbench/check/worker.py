"""The process of a judgement, forked from `fork_server`: limits itself, then reads the candidate and judges it.

A text that is rejected as soon as it is read leaves nothing behind but memory, so the process judges the next one too.
Before it does more than read a text, it confines itself to the candidate's folders.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import gc
import json
import os
import resource
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ptxbench import cache, containment
from ptxbench.check.findings import AFTER_READING, PAIR_NEEDED, STAGES, to_document
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import CheckSuite
from ptxbench.check.task_channel import SentTask, receive
from ptxbench.discovery import SUFFIXES
from ptxbench.emulator.process import stay_in_this_process, stop_process
from ptxbench.errors import MachineError, PtxbenchError
from ptxbench.output_files import FULL
from ptxbench.pool import usable_cores

MOST_READ = 20
"""The most texts that one process reads: each leaves some memory in use."""

MOST_FILE = 4 << 30
"""The most bytes of a written file. Memory that the emulator shares between processes is a file too."""


def limit(seconds: float, memory_bytes: int) -> None:
    """Set the limits of this process and of all that it starts."""
    processor = int(seconds * usable_cores()) + 1
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CPU: processor,
        resource.RLIMIT_FSIZE: MOST_FILE,
        resource.RLIMIT_CORE: 0,
    }
    for name, limit_value in limits.items():
        _, hard = resource.getrlimit(name)
        allowed = limit_value if hard == resource.RLIM_INFINITY else min(limit_value, hard)
        with contextlib.suppress(ValueError, OSError):  # a system without such a limit
            resource.setrlimit(name, (allowed, allowed))


def confine(writable: Sequence[Path]) -> None:
    """Allow writing only below these folders, and no network, if there is Landlock."""
    if containment.mode() == containment.LANDLOCK:
        containment.restrict(execute=[Path("/")], write=[*writable, Path(os.devnull)])


def machine_message(error: OSError) -> str | None:
    """What to do about an error of this process that only the machine causes; None if it may be another one."""
    if error.errno in FULL:
        return f"The judgement cannot write a temporary file (TMPDIR): {os.strerror(error.errno)}."
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{os.strerror(error.errno)} in the judgement. Raise the limit (ulimit -n), or use fewer --jobs."
    if error.errno == errno.EAGAIN:
        return "The judgement can start no more processes. Raise their limit (ulimit -u), or use fewer --jobs."
    return None


def send_event(answers: int, **event: Any) -> None:
    """Write an event."""
    line = json.dumps(event).encode() + b"\n"
    while line:
        line = line[os.write(answers, line) :]


def send_error(answers: int, error: PtxbenchError | OSError) -> None:
    """Write an error that is not the candidate's fault. Raises it if it may be one of ptxbench."""
    if isinstance(error, PtxbenchError):
        send_event(answers, error=type(error).__name__, message=str(error))
    elif message := machine_message(error):
        send_event(answers, error=MachineError.__name__, message=message)
    else:
        raise error


def main(sent: SentTask, suite: CheckSuite, channel: socket.socket) -> None:
    """Limit this process, then judge a candidate. As long as the candidates' texts were only read, which needs only
    this process's own code, it takes the next task from `channel`."""
    os.setsid()  # its child processes end with it
    gc.disable()  # it ends soon, and garbage collection would take a twentieth of its time
    limit(sent.task["limits"]["seconds"], sent.task["limits"]["memory_bytes"])
    for number in range(1, MOST_READ + 1):
        if not judge(sent, suite, last=number == MOST_READ) or (following := receive(channel)) is None:
            return
        sent = following


def judge(sent: SentTask, suite: CheckSuite, *, last: bool) -> bool:
    """Judge, and report each stage and the judgement, or an error that is not the candidate's. Returns whether this
    process takes another task: not after the `last` one, and not if it did more than read a text.

    The descriptors of the task: orders, answers, and standard error. Before the stages that need the pair's own
    kernels, wait for a line of the orders: they are compiled elsewhere first.
    """
    task, (orders, answers, complaints) = sent
    os.dup2(complaints, 1)  # output of libraries must not mix with the answers
    os.dup2(complaints, 2)
    folder, layer, path = Path(task["folder"]), task["layer"], Path(task["path"])
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)  # it is removed; the judgement can write only there
    os.environ |= {cache.LAYER: layer} if layer else {}
    os.chdir(path.parent)
    if not task["separate"]:
        stay_in_this_process()
    first_confined = next(iter(STAGES)) if path.suffix == SUFFIXES["cuda"] else AFTER_READING

    def begin(stage: str) -> None:
        if stage == first_confined:
            confine([folder, *([Path(layer)] if layer else [])])
        send_event(answers, begin=stage)
        if stage == PAIR_NEEDED:
            os.read(orders, 1)

    def done(result: Any, findings: Any) -> None:
        send_event(
            answers, done=dataclasses.asdict(result), findings=[dataclasses.asdict(finding) for finding in findings]
        )

    reads_on = False
    try:
        judgement = Checker(suite, path, CheckOptions(**task["settings"])).judge(begin, done)
        stop_process()
        stages = [result.stage for result in judgement.stages]
        reads_on = not last and first_confined not in stages
        send_event(answers, judgement=to_document(judgement), reads_on=reads_on)
    except (PtxbenchError, OSError) as error:
        send_error(answers, error)
    except MemoryError:
        send_event(answers, ended="memory-limit")
    for descriptor in sent.descriptors:
        os.close(descriptor)
    return reads_on
