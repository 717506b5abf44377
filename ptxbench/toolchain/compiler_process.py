"""A process in which a compiler written in Python compiles kernels: started for the first one, and kept.

Knows how to send a request and how the process ends; `kernel_file` is the other side. The caller says which compiler it
is.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptxbench.errors import CompileError, TargetMismatch, ToolMissing
from ptxbench.interrupts import wait_readable, without_interrupts


class CompilerWorker:
    """A running process of the module `module`."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self.owner = os.getpid()
        with without_interrupts():  # this process handles Ctrl-C, and ends the worker
            self.process = subprocess.Popen(
                # -P: the current folder may contain modules with the names of others
                [sys.executable, "-P", "-W", "ignore", "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                cwd=Path(__file__).parent,  # the user's folder may have a file of options
                text=True,
                encoding="utf-8",
            )

    def answer(self, request: str) -> str:
        """The answer to a request; empty if the process ended without one."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return ""
        wait_readable(self.process.stdout)
        return self.process.stdout.readline()

    def end(self) -> int:
        """End the process; returns its exit status."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.kill()
        status = self.process.wait()
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return status


@dataclass(frozen=True)
class CompilerProcess:
    """The process of one compiler. `name`: of the compiler in a sentence. `install`: the command that installs it."""

    module: str
    name: str
    install: str
    environment: Callable[[], Mapping[str, str]]
    running: list[CompilerWorker] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        atexit.register(self.stop)

    def ask(self, request: str, file: str) -> Mapping[str, Any]:
        """The answer to a request, which is JSON, about the kernel in `file`. Raises ToolMissing, CompileError."""
        with self.lock:
            if self.running and self.running[0].owner != os.getpid():  # a fork must not read its parent's answers
                self.running.clear()
            if not self.running:
                self.running.append(CompilerWorker(self.module, self.environment()))
            try:
                line = self.running[0].answer(request)
            except BaseException:  # Ctrl-C: the answer would be taken for that to the next request
                self.running.pop().end()
                raise
            if not line:
                worker = self.running.pop()
                worker.process.wait()
                status = worker.end()
                ending = signal.Signals(-status).name if status < 0 else f"exit status {status}"
                raise CompileError(f"{file}: {self.name}'s process ended with {ending} while it compiled this file.")
        answer: dict[str, Any] = json.loads(line)
        if refusal := answer.get("refused"):
            raise CompileError(refusal)
        if mismatch := answer.get("target"):
            raise TargetMismatch(f"{file}: not for this target: {mismatch}.")
        if problem := answer.get("unusable"):
            raise ToolMissing(f"{file}: {self.name} does not work here: {problem}. Reinstall it: {self.install}.")
        return answer

    def stop(self) -> None:
        """End the process; the next kernel starts another."""
        with self.lock:
            while self.running:
                if (worker := self.running.pop()).owner == os.getpid():
                    worker.end()


def environment_without(prefix: str) -> dict[str, str]:
    """The user's environment without the variables that begin with `prefix`; folders of modules are absolute paths."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
    if folders := environment.get("PYTHONPATH"):
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, folders.split(os.pathsep)))
    return environment
