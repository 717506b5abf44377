"""A round, or what is left of it, in a process of its own: a crash or a hang there costs one cell and not the run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from ptxbench.backends.base import Backend
from ptxbench.discovery import load
from ptxbench.discovery.knobs import turned
from ptxbench.errors import PtxbenchError
from ptxbench.measure import Settings
from ptxbench.pair import Size
from ptxbench.runner.control import CONTROL, control_job
from ptxbench.runner.events import DeviceLost, Event
from ptxbench.runner.plan import Job, Plan
from ptxbench.runner.story import run

MOST_NAME = 256
"""Bytes of the name of a variant in memory that both processes see."""


@dataclass(frozen=True)
class Piece:
    """What a worker does of a pair: by names, since the functions of a pair cannot be sent to another process."""

    pair: str
    variants: tuple[str, ...]
    sizes: tuple[Size, ...]
    knobs: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Task:
    """What a worker is to do."""

    pieces: tuple[Piece, ...]
    backend: Backend
    arch: str
    kernels: Path
    assembler: Literal["toolkit", "driver"]
    seed: int
    settings: Settings
    round_number: int
    process: int
    calibration: Mapping[str, Any] = field(default_factory=dict)
    renewed: bool = False


class WorkerDied(Exception):
    """A worker ended before its task did, or was ended for its silence; the text says how."""


class Worker:
    """A process at a task. Use it as a context: it does not outlive that.

    It beats with every sample, so that a long measurement is not taken for a hang, and says whose sample it takes.
    """

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")  # a forked process could not use CUDA
        self.events_in, events_out = context.Pipe(duplex=False)
        self.beat = context.RawValue("Q", 0)
        self.at_work = context.RawArray("c", MOST_NAME)
        self.process = context.Process(
            target=serve, args=(task, events_out, self.beat, self.at_work, os.getpid()), daemon=True
        )
        self.process.start()
        events_out.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.join()
        self.events_in.close()

    @property
    def variant(self) -> str:
        """Whose sample it took last; "" before the first."""
        name: bytes = self.at_work.value
        return name.decode()

    def events(self, timeout: float) -> Iterator[Event]:
        """What it tells, until the task is done. Raises WorkerDied, and what the pair's own mistakes raise."""
        beat, heard = 0, time.monotonic()
        while True:
            if self.events_in.poll(0.2):
                try:
                    kind, content = self.events_in.recv()
                except (EOFError, OSError):
                    self.process.join()
                    raise WorkerDied(self.ending) from None
                if kind == "done":
                    return
                if kind == "error":
                    raise content
                yield content
                heard = time.monotonic()
            elif self.beat.value != beat:
                beat, heard = self.beat.value, time.monotonic()
            elif time.monotonic() - heard > timeout:
                raise WorkerDied(f"no sign of life for {timeout:g} s")

    @property
    def ending(self) -> str:
        """How the process ended."""
        status = self.process.exitcode or 0
        return f"its process ended with {signal.Signals(-status).name if status < 0 else f'exit status {status}'}"


def serve(task: Task, events: Connection, beat: Any, at_work: Any, parent: int) -> None:
    """Do the task and send what happens. Runs in the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends this process
    threading.Thread(target=follow, args=(parent,), daemon=True).start()

    def mark(variant: str) -> None:
        if at_work.value != (name := variant.encode()[: MOST_NAME - 1]):
            at_work.value = name
        beat.value += 1

    try:
        task.backend.device()
    except Exception as error:  # whatever it is: without the device nothing can be done
        events.send(("event", DeviceLost(str(error))))
        return
    try:
        for event in run(plan_of(task, mark)):
            events.send(("event", event))
        events.send(("done", None))
    except PtxbenchError as error:
        events.send(("error", error))


def follow(parent: int) -> None:
    """End this process soon after its parent."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def plan_of(task: Task, mark: Callable[[str], None]) -> Plan:
    """The task as a plan of this process, its pairs loaded."""
    return Plan(
        jobs=tuple(job_of(task, piece) for piece in task.pieces),
        backend=task.backend,
        arch=task.arch,
        kernels=task.kernels,
        assembler=task.assembler,
        seed=task.seed,
        settings=task.settings,
        round_number=task.round_number,
        process=task.process,
        calibration=task.calibration,
        renewed=task.renewed,
        mark=mark,
    )


def job_of(task: Task, piece: Piece) -> Job:
    if piece.pair == CONTROL:
        return control_job()
    knobs = dict(piece.knobs)
    found = turned(load(task.kernels, piece.pair), knobs)
    sources = tuple(source for source in found.sources if source.variant in piece.variants)
    return Job(found, sources, piece.sizes, knobs=knobs)
