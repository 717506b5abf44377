"""A candidate's clock: whose sample it is, told before each, and whose error, should it fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ptxbench.backends.base import Clock
from ptxbench.errors import KernelError, MachineError
from ptxbench.runner.candidate import Candidate

Result = TypeVar("Result")


class ClockError(Exception):
    """A sample failed: whose, and why."""

    def __init__(self, candidate: Candidate, cause: KernelError | MachineError) -> None:
        super().__init__(str(cause))
        self.candidate = candidate
        self.cause = cause


@dataclass(frozen=True)
class TimedClock:
    """A candidate's clock, whose errors say whose they are."""

    candidate: Candidate
    clock: Clock
    mark: Callable[[str], None]

    @property
    def graphs(self) -> bool:
        return self.clock.graphs

    @property
    def copies(self) -> int:
        return self.clock.copies

    @property
    def cold(self) -> bool:
        return self.clock.cold

    def refill(self, arguments: Mapping[str, Any]) -> None:
        self.named(lambda: self.clock.refill(arguments))

    def reload(self) -> None:
        self.named(self.clock.reload)

    def outputs(self) -> Mapping[str, Any]:
        return self.named(self.clock.outputs)

    def enqueue(self) -> Callable[[], int]:
        return self.guarded(self.clock.enqueue)

    def enqueue_graph(self, launches: int) -> Callable[[], int]:
        return self.guarded(lambda: self.clock.enqueue_graph(launches))

    def guarded(self, enqueue: Callable[[], Callable[[], int]]) -> Callable[[], int]:
        wait = self.named(enqueue)
        return lambda: self.named(wait)

    def named(self, action: Callable[[], Result]) -> Result:
        """What `action` gives, or whose error it raises."""
        self.mark(self.candidate.source.variant)
        try:
            return action()
        except (KernelError, MachineError) as error:
            raise ClockError(self.candidate, error) from None
