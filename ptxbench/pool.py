"""Who does independent tasks: this thread, threads of this process, or other machines (`dask_pool`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from ptxbench.interrupts import wait_for_item

Task = TypeVar("Task")
Result = TypeVar("Result")

Reporter = Callable[[Any], None]
"""Reports the progress of a task, while it is done."""

Work = Callable[[Task, Reporter], Result]
"""Does one task."""

OnReport = Callable[[int, Any], None]
"""Gets the number of a task, and what its work reports."""


AHEAD = 2
"""How many endless tasks are taken for each one that can be done at a time, counted from the oldest unfinished one."""


def ignore(number: int, report: Any) -> None:
    """An `OnReport` that does nothing."""


class Pool(Protocol):
    """Does tasks that do not depend on each other."""

    def map(
        self, work: Work[Task, Result], tasks: Iterable[Task], on_report: OnReport = ignore, *, endless: bool = False
    ) -> Generator[tuple[int, Result], None, None]:
        """The number and the result of each task, as soon as it is done. Closing the generator drops the others.

        `endless`: take only few tasks ahead of the oldest unfinished one; otherwise all at once.
        Raises what the work raises.
        """
        ...


class GpuPool(Pool, Protocol):
    """A pool of machines, some of which may have a GPU."""

    def map(
        self,
        work: Work[Task, Result],
        tasks: Iterable[Task],
        on_report: OnReport = ignore,
        *,
        endless: bool = False,
        gpu: bool = False,
    ) -> Generator[tuple[int, Result], None, None]:
        """See Pool. `gpu`: whether each task needs a GPU for itself."""
        ...


def usable_cores() -> int:
    """The number of cores that this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class SerialPool:
    """One task after the other, in this thread, so that Ctrl-C ends the present one."""

    def map(
        self, work: Work[Task, Result], tasks: Iterable[Task], on_report: OnReport = ignore, *, endless: bool = False
    ) -> Generator[tuple[int, Result], None, None]:
        for number, task in enumerate(tasks):
            yield number, work(task, partial(on_report, number))


class Threads:
    """At most `count` tasks at a time, for work that spends its time in other processes or outside the lock of the
    interpreter. `on_report` is called in these threads.

    `stop`: ends the tasks that run if the generator is closed early; without it they are not waited for.
    """

    def __init__(self, count: int, stop: Callable[[], None] | None = None) -> None:
        self.count = count
        self.stop = stop

    def map(
        self, work: Work[Task, Result], tasks: Iterable[Task], on_report: OnReport = ignore, *, endless: bool = False
    ) -> Generator[tuple[int, Result], None, None]:
        numbers: dict[Future[Result], int] = {}
        finished: SimpleQueue[Future[Result]] = SimpleQueue()
        intake = TaskQueue(tasks)
        ahead = (AHEAD * self.count if self.count > 1 else 1) if endless else None
        threads = ThreadPoolExecutor(self.count, thread_name_prefix="task")
        complete = False
        try:
            while True:
                for number, task in intake.take(ahead):
                    future = threads.submit(work, task, partial(on_report, number))
                    numbers[future] = number
                    future.add_done_callback(finished.put)
                if intake.complete:
                    break
                future = wait_for_item(finished)
                number = numbers.pop(future)
                intake.finish(number)
                yield number, future.result()
            complete = True
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            if self.stop:
                if not complete:
                    self.stop()
                threads.shutdown()


class TaskQueue(Generic[Task]):
    """Takes tasks from an iterable and numbers them from 0."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.remaining = enumerate(tasks)
        self.taken = 0
        self.oldest = 0
        """The number of the oldest task that is not done."""
        self.done_later: set[int] = set()

    def take(self, ahead: int | None) -> Iterator[tuple[int, Task]]:
        """The next tasks: at most `ahead`, counted from the oldest unfinished one; all if it is None."""
        while ahead is None or self.taken < self.oldest + ahead:
            numbered = next(self.remaining, None)
            if numbered is None:
                return
            self.taken += 1
            yield numbered

    def finish(self, number: int) -> None:
        """A task is done."""
        self.done_later.add(number)
        while self.oldest in self.done_later:
            self.done_later.remove(self.oldest)
            self.oldest += 1

    @property
    def complete(self) -> bool:
        """Whether all tasks that were taken are done."""
        return self.oldest == self.taken


def in_order(results: Iterable[tuple[int, Result]]) -> Iterator[Result]:
    """The results in the order of their tasks, each as soon as those before it are known."""
    waiting: dict[int, Result] = {}
    number = 0
    for finished, result in results:
        waiting[finished] = result
        while number in waiting:
            yield waiting.pop(number)
            number += 1
