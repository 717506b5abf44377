"""Threads that do a part of a launch, and wait for the next one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeAlias, TypeVar

from ptxbench.errors import MachineError

Result = TypeVar("Result")
Outcomes: TypeAlias = "SimpleQueue[tuple[int, Result | BaseException]]"
Tasks: TypeAlias = "SimpleQueue[tuple[int, Callable[[], Result], Outcomes[Result]] | None]"


class ThreadTeam(Generic[Result]):
    """Threads that do a part of the work of this one. They are started when first needed, and end with `stop`.

    A `ThreadPoolExecutor` does the same, but takes 30 microseconds of each launch instead of 8.
    """

    def __init__(self) -> None:
        self.tasks: Tasks[Result] = SimpleQueue()
        self.count = 0

    def share(self, action: Callable[[], object], others: Sequence[Callable[[], Result]]) -> list[Result]:
        """Do `action` on this thread, and meanwhile each of `others` on a thread of the team. Those that no thread has
        begun when `action` ends are left out.

        Returns the results of the others, in order. Raises the first exception of these after all have ended, and
        MachineError if a thread does not start; others may still do their action then.
        """
        with refused_threads():
            while self.count < len(others):
                threading.Thread(target=work, args=(self.tasks,), daemon=True).start()
                self.count += 1
        outcomes: Outcomes[Result] = SimpleQueue()
        for number, other in enumerate(others):
            self.tasks.put((number, other, outcomes))
        begun = len(others)
        try:
            action()
        finally:
            with contextlib.suppress(Empty):
                while True:
                    self.tasks.get_nowait()
                    begun -= 1
        results = []
        for _, outcome in sorted((outcomes.get() for _ in range(begun)), key=lambda numbered: numbered[0]):
            if isinstance(outcome, BaseException):
                raise outcome
            results.append(outcome)
        return results

    def stop(self) -> None:
        """Let the threads end when they have done what they have begun."""
        for _ in range(self.count):
            self.tasks.put(None)
        self.count = 0


def work(tasks: Tasks[Result]) -> None:
    """Do tasks until there is a None."""
    while (task := tasks.get()) is not None:
        number, action, outcomes = task
        try:
            outcomes.put((number, action()))
        except BaseException as error:
            outcomes.put((number, error))
        del task, action, outcomes  # they hold a launch's memory


@contextlib.contextmanager
def refused_threads() -> Iterator[None]:
    """Raises MachineError where the system refuses to start a thread."""
    try:
        yield
    except RuntimeError as error:
        raise MachineError(
            f"The emulator cannot start a thread: {error}. Raise the limit of processes (ulimit -u), or end some."
        ) from None
