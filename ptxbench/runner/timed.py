"""A candidate's clock: reports which variant each sample is of, and which kernels may have caused an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ptxbench.backends.base import Clock
from ptxbench.errors import KernelError, MachineError
from ptxbench.runner.candidate import VariantRun

Result = TypeVar("Result")


class ClockError(Exception):
    """A sample failed. `candidate`: the one whose call reported it; `suspects`: the variants whose kernels were
    pending."""

    def __init__(self, candidate: VariantRun, cause: KernelError | MachineError, suspects: tuple[str, ...]) -> None:
        super().__init__(str(cause))
        self.candidate = candidate
        self.cause = cause
        self.suspects = suspects


@dataclass(frozen=True, eq=False)
class TimedSample:
    """A sample that was enqueued. `name`: its variant."""

    name: str


@dataclass
class PendingSamples:
    """The samples of a cell that were enqueued and not yet waited for, oldest first.

    A kernel fails after its launch has returned, and the driver reports that to the next call, whoever makes it. So
    each of these samples may be at fault. With `one_at_a_time` each sample is waited for immediately, so there is never
    more than one.
    """

    one_at_a_time: bool = False
    samples: list[TimedSample] = field(default_factory=list)

    def done(self, sample: TimedSample) -> None:
        """The sample has ended, and so have those before it, because the stream runs them in order."""
        del self.samples[: self.samples.index(sample) + 1]

    def suspects(self, name: str) -> tuple[str, ...]:
        """The variants that may have caused an error that a call for `name` reported."""
        return tuple(dict.fromkeys((*(sample.name for sample in self.samples), name)))


@dataclass(frozen=True)
class MarkedClock:
    """A clock that calls `mark` with its name before each use: `name` is "" for a kernel of ptxbench itself."""

    name: str
    clock: Clock
    mark: Callable[[str], None]

    @property
    def graphs(self) -> bool:
        return self.clock.graphs

    @property
    def copies(self) -> int:
        return self.clock.copies

    @property
    def as_wanted(self) -> bool:
        return self.clock.as_wanted

    def refill(self, arguments: Mapping[str, Any]) -> None:
        self.marked(lambda: self.clock.refill(arguments))

    def reload(self, samples: int) -> None:
        self.marked(lambda: self.clock.reload(samples))

    def outputs(self) -> Mapping[str, Any]:
        return self.marked(self.clock.outputs)

    def enqueue(self) -> Callable[[], int]:
        return self.guarded(self.clock.enqueue)

    def enqueue_graph(self, launches: int) -> Callable[[], int]:
        return self.guarded(lambda: self.clock.enqueue_graph(launches))

    def guarded(self, enqueue: Callable[[], Callable[[], int]]) -> Callable[[], int]:
        wait = self.marked(enqueue)
        return lambda: self.marked(wait)

    def marked(self, action: Callable[[], Result]) -> Result:
        self.mark(self.name)
        return action()


@dataclass(frozen=True)
class TimedClock(MarkedClock):
    """A candidate's clock. Its errors name the candidate."""

    candidate: VariantRun
    pending: PendingSamples

    def guarded(self, enqueue: Callable[[], Callable[[], int]]) -> Callable[[], int]:
        wait = self.marked(enqueue)
        sample = TimedSample(self.name)
        self.pending.samples.append(sample)

        def wait_for_sample() -> int:
            nanoseconds = self.marked(wait)
            self.pending.done(sample)
            return nanoseconds

        if self.pending.one_at_a_time:
            nanoseconds = wait_for_sample()
            return lambda: nanoseconds
        return wait_for_sample

    def marked(self, action: Callable[[], Result]) -> Result:
        """The result of `action`. Raises ClockError with the candidate."""
        self.mark(self.name)
        try:
            return action()
        except (KernelError, MachineError) as error:
            raise ClockError(self.candidate, error, self.pending.suspects(self.name)) from None
