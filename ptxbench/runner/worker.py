"""A round, or the rest of one, in its own process: a crash or a hang there loses one cell and not the run."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext

from ptxbench import errors
from ptxbench.device_shape import DeviceShape
from ptxbench.discovery import load
from ptxbench.discovery.knobs import with_knobs
from ptxbench.errors import PtxbenchError
from ptxbench.interrupts import end_with_parent, without_interrupts
from ptxbench.pair import Size
from ptxbench.runner.control import CONTROL, control_plan
from ptxbench.runner.events import DeviceLost, Event, Step
from ptxbench.runner.plan import PairPlan, RunPlan, no_mark
from ptxbench.runner.session import run

MOST_NAME = 256
"""Bytes of a phase and the name of a variant in shared memory."""

FROM_OUTSIDE = frozenset({"SIGKILL", "SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"})
"""Signals that other processes send. A kernel's errors raise other signals."""


@dataclass(frozen=True)
class WorkItem:
    """The part of a pair that a worker does: by names, because a pair's functions cannot be sent to another process."""

    pair: str
    variants: tuple[str, ...]
    sizes: tuple[Size, ...]
    knobs: tuple[tuple[str, int], ...] = ()
    one_at_a_time: bool = False
    """See PairPlan."""
    oracle_asked: bool = True
    """See PairPlan."""
    arch: str = ""
    """See PairPlan."""

    @classmethod
    def of(cls, pair_plan: PairPlan, sizes: tuple[Size, ...]) -> WorkItem:
        """Cells of a pair in a plan."""
        return cls(
            pair_plan.loaded.name,
            tuple(source.variant for source in pair_plan.sources),
            sizes,
            tuple(pair_plan.knobs.items()),
            pair_plan.one_at_a_time,
            pair_plan.oracle_asked,
            pair_plan.arch,
        )


@dataclass(frozen=True)
class WorkerRequest:
    """The task of a worker: `items`, with the rest of `plan`, which is `sendable`."""

    items: tuple[WorkItem, ...]
    plan: RunPlan


def sendable(plan: RunPlan) -> RunPlan:
    """`plan` without what another process cannot have or does not need: pairs, functions, cells of earlier rounds.

    Everything else reaches the worker, so that a new field of RunPlan does too.
    """
    return replace(plan, pair_plans=(), begun=(), mark=no_mark, host_work=nullcontext)


class WorkerDied(Exception):
    """A worker ended before its task did, or was killed because it made no progress; the text says how.

    `phase`, `variant`: its last step, "" if it reported none. `from_outside`: whether the cause cannot be a kernel.
    """

    def __init__(self, cause: str, *, phase: str = "", variant: str = "", from_outside: bool = False) -> None:
        super().__init__(cause)
        self.phase = phase
        self.variant = variant
        self.from_outside = from_outside


class WorkerCrashed(Exception):
    """A worker ended by a bug; the text is its traceback."""


class WorkerSigns:
    """The state that a worker shares in memory.

    `beat`: counts its samples, so that a long measurement is not taken for a hang. `at_work`: its phase and variant.
    `host_work`: whether the host makes data or judges outputs, which may take any time.
    """

    def __init__(self, context: SpawnContext) -> None:
        self.beat = context.RawValue("Q", 0)
        self.at_work = context.RawArray("c", MOST_NAME)
        self.host_work = context.RawValue("b", 0)

    def show(self, phase: str, variant: str) -> None:
        if self.at_work.value != (state := f"{phase}\n{variant}".encode()[: MOST_NAME - 1]):
            self.at_work.value = state
        self.beat.value += 1

    def mark(self, variant: str) -> None:
        """See RunPlan."""
        self.show("measure", variant)

    @contextmanager
    def working(self) -> Iterator[None]:
        """See RunPlan.host_work."""
        self.host_work.value = 1
        try:
            yield
        finally:
            self.host_work.value = 0
            self.beat.value += 1

    def death(self, cause: str, *, from_outside: bool = False) -> WorkerDied:
        phase, _, variant = self.at_work.value.decode(errors="replace").partition("\n")
        return WorkerDied(cause, phase=phase, variant=variant, from_outside=from_outside)


class Worker:
    """A process with a task. Use it as a context manager, which ends the process."""

    def __init__(self, request: WorkerRequest) -> None:
        context = multiprocessing.get_context("spawn")  # a forked process could not use CUDA
        self.events_in, events_out = context.Pipe(duplex=False)
        self.signs = WorkerSigns(context)
        self.process = context.Process(target=serve, args=(request, events_out, self.signs, os.getpid()), daemon=True)
        with without_interrupts():
            self.process.start()
        events_out.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.join()
        self.events_in.close()

    def events(self, timeout: float) -> Iterator[Event]:
        """The events of the worker, until the task is done.

        Raises WorkerDied, WorkerCrashed, and the pair's own errors.
        """
        beat, last_sign = 0, time.monotonic()
        while True:
            if self.events_in.poll(0.2):
                try:
                    kind, content = self.events_in.recv()
                except (EOFError, OSError):
                    raise self.ending() from None
                if kind == "done":
                    return
                if kind == "error":
                    raise rebuilt(*content)
                yield content
                last_sign = time.monotonic()
            elif self.signs.host_work.value or self.signs.beat.value != beat:
                beat, last_sign = self.signs.beat.value, time.monotonic()
            elif time.monotonic() - last_sign > timeout:
                raise self.signs.death(f"no progress for {timeout:g} s")

    def ending(self) -> WorkerDied:
        """How the process ended."""
        self.process.join()
        status = self.process.exitcode or 0
        if status >= 0:
            return self.signs.death(f"its process ended with exit status {status}")
        name = signal.Signals(-status).name
        cause = f"its process ended with {name}"
        if name not in FROM_OUTSIDE:
            return self.signs.death(cause)
        memory = ", perhaps because the host ran out of memory" if name == "SIGKILL" else ""
        return self.signs.death(f"{cause}, sent by another process{memory}", from_outside=True)


def rebuilt(name: str, text: str) -> BaseException:
    """The error that a worker sent as its class and its text.

    An object could only be sent with everything that it holds.
    """
    if name == "MemoryError":
        return MemoryError()
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, PtxbenchError):
        return kind.__new__(kind, text)  # not kind(text): some classes take more arguments
    return WorkerCrashed(f"A worker ended by an error of its own:\n{text}")


def serve(request: WorkerRequest, events: Connection, signs: WorkerSigns, parent: int) -> None:
    """Do the task and send the events. Runs in the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C, and ends this process
    threading.Thread(target=end_with_parent, args=(parent,), daemon=True).start()
    with suppress(BrokenPipeError):  # the parent has gone, and `end_with_parent` ends this process
        try:
            for event in perform(request, signs):
                if isinstance(event, Step):
                    signs.show(event.phase, event.variant)
                events.send(("event", event))
            events.send(("done", None))
        except PtxbenchError as error:
            events.send(("error", (type(error).__name__, str(error))))
        except MemoryError:
            events.send(("error", ("MemoryError", "")))
        except BrokenPipeError:
            raise
        except Exception:
            events.send(("error", ("", traceback.format_exc())))


def perform(request: WorkerRequest, signs: WorkerSigns) -> Iterator[Event]:
    try:
        device = DeviceShape.of(request.plan.backend.device())
    except Exception as error:  # any error: without the device nothing can be done
        yield DeviceLost(str(error))
        return
    with signs.working():
        plan = replace(plan_of(request, device), mark=signs.mark, host_work=signs.working)
        gc.freeze()  # garbage collections by the backend need not search what is loaded, which stays
    yield from run(plan)


def plan_of(request: WorkerRequest, device: DeviceShape) -> RunPlan:
    """The request as a plan of this process, with the pairs loaded for the device."""
    pair_plans = tuple(pair_plan_of(request.plan, item, device) for item in request.items)
    return replace(request.plan, pair_plans=pair_plans)


def pair_plan_of(plan: RunPlan, item: WorkItem, device: DeviceShape) -> PairPlan:
    """The item with its pair loaded or made, and with the sources of its variants."""
    knobs = dict(item.knobs)
    if item.pair == CONTROL:
        loaded = control_plan().loaded
    elif plan.maker:
        loaded = plan.maker.loaded()
    else:
        loaded = with_knobs(load(plan.kernels, item.pair, device), knobs)
    sources = tuple(source for source in (*loaded.sources, *loaded.libraries) if source.variant in item.variants)
    return PairPlan(
        loaded,
        sources,
        item.sizes,
        knobs=knobs,
        one_at_a_time=item.one_at_a_time,
        oracle_asked=item.oracle_asked,
        arch=item.arch,
    )
